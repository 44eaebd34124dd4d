using System.Diagnostics;
using System.Runtime.ExceptionServices;

namespace Moe.Plugins.Cpu;

/// <summary>
/// Threads that share work. The caller takes part; a phase ends when all of its units are done, whether or not the others came in time. Unlike
/// the runtime's parallel loops it allocates nothing, and between two phases its threads spin for a while rather than sleep.
/// </summary>
/// <remarks>
/// Units are taken, one at a time: who is late, or comes and finds none, is not waited for. Who has taken one and lost its processor to another
/// program is, and that may cost more than the whole phase. So the caller looks whether sharing paid, and goes on alone for a while where it did not.
/// </remarks>
internal sealed class CpuTeam : IDisposable
{
    /// <summary>Turns of waiting before a thread parks: more than lies between two phases.</summary>
    private const int SpinTurns = 1000;

    /// <summary>Turns after which a waiting thread lets another one have its processor: a second team's, or another program's.</summary>
    private const int YieldTurns = 16;

    /// <summary>What sharing may cost in all before the caller goes on alone: more than threads take to come, less than a turn of another program's.</summary>
    private static readonly TimeSpan Tolerated = TimeSpan.FromMicroseconds(100);

    /// <summary>Which part of the time it may cost besides, for what is saved is a guess.</summary>
    private const double ToleratedShare = 0.1;

    /// <summary>The time of sharing after which what was before counts half.</summary>
    private static readonly TimeSpan Memory = TimeSpan.FromMilliseconds(200);

    /// <summary>How many times as long as the loss the caller goes on alone after it, so that few hundredths of the time are lost.</summary>
    private const int AloneFactor = 30;

    /// <summary>The longest time before sharing is tried again.</summary>
    private static readonly TimeSpan LongestAlone = TimeSpan.FromSeconds(1);

    private readonly Lock _turn = new();
    private readonly object _parked = new();
    private readonly Thread[] _helpers;
    private readonly TimeProvider _time;
    private ICpuWork? _work;
    private int _phase;
    private int _units;

    // The phase's number above, below it how many of its units nobody has taken: who takes one knows of which phase it is.
    private long _state;
    private int _pending;
    private int _sleeping;
    private TimeSpan _sharing;
    private TimeSpan _saved;
    private TimeSpan _alone;
    private long _aloneSince;
    private volatile bool _isDisposed;
    private ExceptionDispatchInfo? _fault;

    /// <param name="threads">How many threads share the work, the caller's among them.</param>
    /// <param name="time">Tells whether sharing pays; null for the system's clock.</param>
    public CpuTeam(int threads, TimeProvider? time = null)
    {
        ThreadCount = threads;
        _time = time ?? TimeProvider.System;
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
            long start = units == 1 || _helpers.Length == 0 ? 0 : _time.GetTimestamp();
            if (start == 0 || IsAlone(start))
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
            _fault = null;
            Volatile.Write(ref _pending, units);
            Interlocked.Exchange(ref _state, ((Generation(_state) + 1) << 32) | (uint)units);
            Wake();
            int own = Share(worker: 0);
            TimeSpan ownTime = _time.GetElapsedTime(start);
            var wait = default(SpinWait);
            while (Volatile.Read(ref _pending) != 0)
            {
                wait.SpinOnce(sleep1Threshold: -1);
            }

            Judge(start, ownTime, own, units);

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

    private bool IsAlone(long now) => _alone != TimeSpan.Zero && _aloneSince != 0 && _time.GetElapsedTime(_aloneSince, now) < _alone;

    // What the caller would have taken alone follows from the units that it did itself. In one phase that may be far off, since units differ; over
    // many it is not. Whoever loses again goes alone for longer.
    private void Judge(long start, TimeSpan ownTime, int own, int units)
    {
        long end = _time.GetTimestamp();
        TimeSpan shared = _time.GetElapsedTime(start, end);
        _sharing += shared;
        _saved += own == 0 ? TimeSpan.Zero : (ownTime * ((double)units / own)) - shared;
        if (-_saved > Tolerated + (ToleratedShare * _sharing))
        {
            TimeSpan longer = TimeSpan.FromTicks(Math.Max(2 * _alone.Ticks, AloneFactor * -_saved.Ticks));
            _alone = longer < LongestAlone ? longer : LongestAlone;
            _aloneSince = end;
            _sharing = TimeSpan.Zero;
            _saved = TimeSpan.Zero;
        }
        else if (_sharing > Memory)
        {
            _sharing /= 2;
            _saved /= 2;
            _alone /= 2;
        }
    }

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

            Share(worker);
        }
    }

    /// <summary>Takes units and does them until there are none left.</summary>
    /// <returns>How many.</returns>
    private int Share(int worker)
    {
        int done = 0;
        while (TryTake(out int unit))
        {
            try
            {
                _work!.Do(_phase, unit, worker);
            }
            catch (Exception exception)
            {
                // The caller throws it, once all units are done.
                Interlocked.CompareExchange(ref _fault, ExceptionDispatchInfo.Capture(exception), null);
            }

            done++;
        }

        if (done != 0)
        {
            Interlocked.Add(ref _pending, -done);
        }

        return done;
    }

    // Until who took the unit has said that it is done the phase is not over, and what describes it stays.
    private bool TryTake(out int unit)
    {
        long state = Volatile.Read(ref _state);
        while ((uint)state != 0)
        {
            long found = Interlocked.CompareExchange(ref _state, state - 1, state);
            if (found == state)
            {
                unit = _units - (int)(uint)state;
                return true;
            }

            state = found;
        }

        unit = 0;
        return false;
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
