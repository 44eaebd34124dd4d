using System.Runtime.ExceptionServices;

namespace Moe.Plugins.Cli;

/// <summary>A thread for each rank of a group.</summary>
internal static class RankThreads
{
    /// <summary>Does something on each rank's thread, and waits for all. A rank that throws ends the group; its exception is the one thrown on.</summary>
    public static void Run(IMoeGroup group, Action<int> work)
    {
        var errors = new Exception?[group.Members.Count];
        Thread[] threads = [.. errors.Select((_, rank) => new Thread(() =>
        {
            try
            {
                work(rank);
            }
            catch (Exception exception)
            {
                errors[rank] = exception;
                group.Members[rank].Abort(exception.Message);
            }
        }))];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());

        // Of a rank that failed and those that only heard of it, the one that failed.
        Exception? first = errors.FirstOrDefault(error => error is not null and not MoeException { Reason: MoeReason.PeerFailed })
            ?? errors.FirstOrDefault(error => error is not null);
        if (first is not null)
        {
            ExceptionDispatchInfo.Throw(first);
        }
    }
}
