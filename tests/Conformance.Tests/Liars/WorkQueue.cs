using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;

namespace Moe.Plugins.Conformance.Tests.Liars;

/// <summary>A stream: a thread that does what it is handed, in order.</summary>
internal sealed class WorkQueue : IDisposable
{
    private readonly BlockingCollection<Action> _work = [];
    private readonly Thread _thread;
    private Exception? _failure;

    public WorkQueue()
    {
        _thread = new Thread(Run) { IsBackground = true };
        _thread.Start();
    }

    public void Enqueue(Action action) => _work.Add(action);

    public void Synchronize()
    {
        using var done = new ManualResetEventSlim();
        _work.Add(done.Set);
        done.Wait();
        if (Interlocked.Exchange(ref _failure, null) is Exception failure)
        {
            ExceptionDispatchInfo.Throw(failure);
        }
    }

    public void Dispose()
    {
        _work.CompleteAdding();
        _thread.Join();
        _work.Dispose();
    }

    private void Run()
    {
        foreach (Action action in _work.GetConsumingEnumerable())
        {
            try
            {
                action();
            }
            catch (Exception exception)
            {
                _failure ??= exception;
            }
        }
    }
}
