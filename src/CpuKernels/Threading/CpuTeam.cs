using System.Runtime.ExceptionServices;

namespace Moe.Plugins.Cpu;

/// <summary>
/// The backend's threads. The caller takes part; a phase ends when all of its units are done. Unlike the runtime's parallel loops it
/// allocates nothing, and between the phases of a forward its threads spin rather than sleep.
/// </summary>
internal sealed class CpuTeam : IDisposable
{
    /// <summary>Turns of waiting before a thread parks: tens of microseconds, more than lies between two phases.</summary>
    private const int SpinTurns = 2000;

    private readonly Lock _turn = new();
    private readonly object _parked = new();
    private readonly Thread[] _helpers;
    private ICpuWork? _work;
    private int _phase;
    private int _units;
    private int _next;
    private int _running;
    private int _generation;
    private int _sleeping;
    private volatile bool _isDisposed;
    private ExceptionDispatchInfo? _fault;

    public CpuTeam(int threads)
    {
        ThreadCount = threads;
        _helpers = new Thread[threads - 1];
        for (int i = 0; i < _helpers.Length; i++)
        {
            int worker = i + 1;
            _helpers[i] = new Thread(() => Help(worker)) { IsBackground = true, Name = $"Moe Cpu {worker}" };
            _helpers[i].Start();
        }
    }

    public int ThreadCount { get; }

    /// <summary>Does all units of a phase. Several callers take turns.</summary>
    public void Run(ICpuWork work, int phase, int units)
    {
        if (units <= 0)
        {
            return;
        }

        lock (_turn)
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            if (units == 1 || _helpers.Length == 0)
            {
                for (int unit = 0; unit < units; unit++)
                {
                    work.Do(phase, unit, 0);
                }

                return;
            }

            _work = work;
            _phase = phase;
            _units = units;
            _next = 0;
            _fault = null;
            Volatile.Write(ref _running, _helpers.Length);
            Interlocked.Increment(ref _generation);
            Wake();
            Share(worker: 0);
            var wait = default(SpinWait);
            while (Volatile.Read(ref _running) != 0)
            {
                wait.SpinOnce(sleep1Threshold: -1);
            }

            _work = null;
            _fault?.Throw();
        }
    }

    public void Dispose()
    {
        lock (_turn)
        {
            if (_isDisposed)
            {
                return;
            }

            _isDisposed = true;
            Interlocked.Increment(ref _generation);
            Wake();
        }

        foreach (Thread helper in _helpers)
        {
            helper.Join();
        }
    }

    private void Help(int worker)
    {
        int seen = 0;
        while (true)
        {
            seen = Await(seen);
            if (_isDisposed)
            {
                return;
            }

            Share(worker);
            Interlocked.Decrement(ref _running);
        }
    }

    private void Share(int worker)
    {
        try
        {
            while (Interlocked.Increment(ref _next) - 1 is int unit && unit < _units)
            {
                _work!.Do(_phase, unit, worker);
            }
        }
        catch (Exception exception)
        {
            // The caller throws it, once every thread has left the phase.
            Interlocked.CompareExchange(ref _fault, ExceptionDispatchInfo.Capture(exception), null);
        }
    }

    /// <summary>Waits for a generation after the one that was seen: spinning at first, then parked.</summary>
    private int Await(int seen)
    {
        for (int turn = 0; turn < SpinTurns; turn++)
        {
            if (Volatile.Read(ref _generation) is int generation && generation != seen)
            {
                return generation;
            }

            Thread.SpinWait(20);
        }

        lock (_parked)
        {
            Interlocked.Increment(ref _sleeping);
            while (Volatile.Read(ref _generation) == seen)
            {
                Monitor.Wait(_parked);
            }

            Interlocked.Decrement(ref _sleeping);
            return Volatile.Read(ref _generation);
        }
    }

    private void Wake()
    {
        if (Volatile.Read(ref _sleeping) > 0)
        {
            lock (_parked)
            {
                Monitor.PulseAll(_parked);
            }
        }
    }
}
