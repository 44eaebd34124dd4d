using System.Runtime.ExceptionServices;

namespace Moe.Plugins.Cpu;

/// <summary>
/// Threads that share work. The caller takes part; a phase ends when all of its units are done, whether or not the others came in time. Unlike
/// the runtime's parallel loops it allocates nothing, and between two phases its threads spin for a while rather than sleep.
/// </summary>
internal sealed class CpuTeam : IDisposable
{
    /// <summary>Turns of waiting before a thread parks: more than lies between two phases.</summary>
    private const int SpinTurns = 1000;

    /// <summary>Turns after which a waiting thread lets another one have its processor: a second team's, or another program's.</summary>
    private const int YieldTurns = 16;

    /// <summary>Of <see cref="_state"/>: helpers may join. Above it stands the phase's number, below it how many have joined.</summary>
    private const long Open = 1L << 31;

    private readonly Lock _turn = new();
    private readonly object _parked = new();
    private readonly Thread[] _helpers;
    private ICpuWork? _work;
    private int _phase;
    private int _units;
    private int _next;
    private long _state;
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
            Interlocked.Exchange(ref _state, ((Generation(_state) + 1) << 32) | Open);
            Wake();
            Share(worker: 0);

            // Every unit is taken. Who has joined is waited for; who has not come yet need not come.
            Interlocked.And(ref _state, ~Open);
            var wait = default(SpinWait);
            while (Joined(Volatile.Read(ref _state)) != 0)
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
            Interlocked.Exchange(ref _state, (Generation(_state) + 1) << 32);
            Wake();
        }

        foreach (Thread helper in _helpers)
        {
            helper.Join();
        }
    }

    private static long Generation(long state) => state >> 32;

    private static long Joined(long state) => state & (Open - 1);

    private void Help(int worker)
    {
        long seen = 0;
        while (true)
        {
            seen = Await(seen);
            if (_isDisposed)
            {
                return;
            }

            if (TryJoin(seen))
            {
                Share(worker);
                Interlocked.Decrement(ref _state);
            }
        }
    }

    private bool TryJoin(long generation)
    {
        long state = Volatile.Read(ref _state);
        while (Generation(state) == generation && (state & Open) != 0)
        {
            long found = Interlocked.CompareExchange(ref _state, state + 1, state);
            if (found == state)
            {
                return true;
            }

            state = found;
        }

        return false;
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
    private long Await(long seen)
    {
        for (int turn = 1; turn <= SpinTurns; turn++)
        {
            if (Generation(Volatile.Read(ref _state)) is long generation && generation != seen)
            {
                return generation;
            }

            if (turn % YieldTurns == 0)
            {
                Thread.Yield();
            }
            else
            {
                Thread.SpinWait(20);
            }
        }

        lock (_parked)
        {
            Interlocked.Increment(ref _sleeping);
            while (Generation(Volatile.Read(ref _state)) == seen)
            {
                Monitor.Wait(_parked);
            }

            Interlocked.Decrement(ref _sleeping);
            return Generation(Volatile.Read(ref _state));
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
