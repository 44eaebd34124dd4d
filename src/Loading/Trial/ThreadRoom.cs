namespace Moe.Plugins;

/// <summary>
/// Whether a process can have the threads that a usual one has. Where a user or a container may start only few (<c>RLIMIT_NPROC</c> of getrlimit(2),
/// <c>pids.max</c> of cgroups(7)), runtimes abort and thread pools stand still, and no plugin is to blame.
/// </summary>
internal static class ThreadRoom
{
    /// <summary>More than a trial of any plugin takes beside the runtime's own.</summary>
    public const int Enough = 128;

    private const int SmallestStack = 1 << 16;

    /// <summary>Tries it: limits and what counts against them are nowhere to be read together.</summary>
    public static bool IsThere()
    {
        using var done = new ManualResetEventSlim();
        var threads = new List<Thread>(Enough);
        try
        {
            for (int i = 0; i < Enough; i++)
            {
                var thread = new Thread(done.Wait, SmallestStack) { IsBackground = true, Name = "Moe.Plugins trial, room" };
                thread.Start();
                threads.Add(thread);
            }

            return true;
        }
        catch (OutOfMemoryException)
        {
            return false;
        }
        finally
        {
            done.Set();
            threads.ForEach(static thread => thread.Join());
        }
    }
}
