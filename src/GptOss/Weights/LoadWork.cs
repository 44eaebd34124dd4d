using System.Runtime.ExceptionServices;

namespace Moe.Plugins.GptOss;

/// <summary>Parts of loading a model that are done at once, each on a thread of its own.</summary>
internal static class LoadWork
{
    /// <summary>Does all. When one part fails, the others are told to end, and its failure is thrown once they have.</summary>
    /// <param name="parts">What is done; each is told when to end, by a token that is good until this returns.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    /// <exception cref="OperationCanceledException">It was ended early. The exception has the caller's token, whatever the parts threw.</exception>
    public static void Run(IReadOnlyList<Action<CancellationToken>> parts, CancellationToken cancellationToken)
    {
        using var ending = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        ExceptionDispatchInfo? failure = null;
        Thread[] threads = [.. parts.Select((part, i) => new Thread(() => Do(part)) { IsBackground = true, Name = $"Loading GPT-OSS, {i}" })];
        int started = 0;
        try
        {
            for (; started < threads.Length; started++)
            {
                threads[started].Start();
            }
        }
        catch
        {
            ending.Cancel();
            throw;
        }
        finally
        {
            // Their token ends with this method, so none of them may be left, even where a further one could not be started.
            Array.ForEach(threads[..started], thread => thread.Join());
        }

        if (failure?.SourceException is OperationCanceledException)
        {
            cancellationToken.ThrowIfCancellationRequested();
        }

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
