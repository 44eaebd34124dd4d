using System.Runtime.ExceptionServices;

namespace Moe.Plugins.GptOss;

/// <summary>Parts of loading a model that are done at once, each on a thread of its own.</summary>
internal static class LoadWork
{
    /// <summary>Does all. When one part fails, the others are told to end, and its failure is thrown once they have.</summary>
    /// <param name="parts">What is done; each is told when to end.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    public static void Run(IReadOnlyList<Action<CancellationToken>> parts, CancellationToken cancellationToken)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        ExceptionDispatchInfo? failure = null;
        Thread[] threads = [.. parts.Select((part, i) => new Thread(() => Do(part)) { IsBackground = true, Name = $"Loading GPT-OSS, {i}" })];
        Array.ForEach(threads, thread => thread.Start());
        Array.ForEach(threads, thread => thread.Join());
        failure?.Throw();

        void Do(Action<CancellationToken> part)
        {
            try
            {
                part(ending.Token);
            }
            catch (Exception exception)
            {
                Interlocked.CompareExchange(ref failure, ExceptionDispatchInfo.Capture(exception), null);
                ending.Cancel();
            }
        }
    }
}
