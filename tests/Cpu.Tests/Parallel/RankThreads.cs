namespace Moe.Plugins.Cpu.Tests;

/// <summary>A thread for each rank.</summary>
internal static class RankThreads
{
    /// <summary>Runs all ranks to their end.</summary>
    /// <param name="group">The group.</param>
    /// <param name="work">What a rank does.</param>
    /// <param name="meanwhile">Done again and again by the calling thread until all ranks have ended.</param>
    /// <returns>What each rank threw; null where it did not.</returns>
    public static Exception?[] Run(IMoeGroup group, Action<IMoeCommunicator> work, Action? meanwhile = null)
    {
        var errors = new Exception?[group.Members.Count];
        Thread[] threads = [.. group.Members.Select(member => new Thread(() => errors[member.Rank] = Record.Exception(() => work(member))))];
        foreach (Thread thread in threads)
        {
            thread.IsBackground = true;
            thread.Start();
        }

        foreach (Thread thread in threads)
        {
            while (!thread.Join(TimeSpan.FromMilliseconds(5)))
            {
                TestContext.Current.CancellationToken.ThrowIfCancellationRequested();
                meanwhile?.Invoke();
            }
        }

        return errors;
    }

    /// <summary>Runs all ranks to their end, which none may reach by throwing.</summary>
    public static void RunAll(IMoeGroup group, Action<IMoeCommunicator> work) => Assert.All(Run(group, work), Assert.Null);
}
