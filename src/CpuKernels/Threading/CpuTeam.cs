using System.Diagnostics;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace Moe.Plugins.Cpu;

/// <summary>
/// Threads that share work. The caller takes part; a phase ends when all of its units are done, whether or not the others came in time. Unlike
/// the runtime's parallel loops it allocates nothing, and between two phases its threads spin for a while rather than sleep.
/// </summary>
/// <remarks>
/// Units are taken, one at a time, those of a thread's NUMA node before those of others: who is late, or comes and finds none, is not waited for. Who has taken one and lost its processor to another
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
    private readonly CpuNodes _nodes;
    private readonly int[] _nodeOf;
    private readonly Deal[] _deals;
    private ICpuWork? _work;
    private int _phase;
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
    /// <param name="nodes">Where threads are kept; null for the machine's nodes.</param>
    public CpuTeam(int threads, TimeProvider? time = null, CpuNodes? nodes = null)
    {
        ThreadCount = threads;
        _time = time ?? TimeProvider.System;
        _nodes = nodes ?? CpuNodes.Machine;
        _nodeOf = _nodes.Deal(threads);
        _deals = new Deal[_nodes.Count];
        _helpers = new Thread[threads - 1];
        for (int i = 0; i < _helpers.Length; i++)
        {
            int worker = i + 1;
            _helpers[i] = new Thread(() => Help(worker)) { IsBackground = true, Name = $"Moe Cpu {worker}" };
            _helpers[i].Start();
        }
    }

    public int ThreadCount { get; }

    /// <summary>NUMA nodes that the threads are on.</summary>
    public int Nodes => _deals.Length;

    /// <summary>Cuts a number of things into a part for each node, as large as its share of the threads.</summary>
    /// <param name="count">How many.</param>
    /// <param name="step">How many stay together.</param>
    /// <returns>Where each part begins, and the last one ends.</returns>
    public int[] Cut(int count, int step = 1)
    {
        int[] firsts = new int[Nodes + 1];
        for (int node = 1, before = 0; node < Nodes; node++)
        {
            before += _nodeOf.Count(of => of == node - 1);
            firsts[node] = (int)((long)count * before / ThreadCount / step * step);
        }

        firsts[Nodes] = count;
        return firsts;
    }

    /// <summary>Gives each node's part of new memory to it: a page is the node's whose thread writes to it first.</summary>
    /// <param name="memory">The memory, which nobody has written to.</param>
    /// <param name="firsts">What <see cref="Cut"/> said.</param>
    /// <param name="byteCount">Bytes of each of the things that were cut.</param>
    public unsafe void Place(NativeBuffer memory, int[] firsts, long byteCount)
    {
        if (Nodes == 1)
        {
            return;
        }

        byte* address = memory.Pointer<byte>();
        Thread[] threads = [.. Enumerable.Range(0, Nodes).Select(node => new Thread(() =>
        {
            _nodes.Stay(node);
            for (long at = firsts[node] * byteCount; at < firsts[node + 1] * byteCount; at += Environment.SystemPageSize)
            {
                address[at] = 0;
            }
        }))];
        Array.ForEach(threads, static thread => thread.Start());
        Array.ForEach(threads, static thread => thread.Join());
    }

    /// <summary>Does all units of a phase. Several callers take turns.</summary>
    public void Run(ICpuWork work, int phase, int units) => Run(work, phase, new ReadOnlySpan<int>(in units));

    /// <summary>Does all units of a phase. Several callers take turns.</summary>
    /// <param name="work">Does a unit.</param>
    /// <param name="phase">Which phase.</param>
    /// <param name="unitsOfNodes">The units that read what is on each node; they have their numbers in this order.</param>
    public void Run(ICpuWork work, int phase, ReadOnlySpan<int> unitsOfNodes)
    {
        int units = 0;
        foreach (int count in unitsOfNodes)
        {
            units += count;
        }

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
            _fault = null;
            Volatile.Write(ref _pending, units);
            long generation = (Generation(_deals[0].State) + 1) << 32;

            // The first tells helpers that there is work; who takes another's unit before that knows what it is as well.
            for (int node = Nodes - 1, end = units; node >= 0; node--)
            {
                int count = node < unitsOfNodes.Length ? unitsOfNodes[node] : 0;
                _deals[node].End = end;
                end -= count;
                Interlocked.Exchange(ref _deals[node].State, generation | (uint)count);
            }

            Wake();
            int own = Share(worker: 0, _nodes.Current());
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
            Interlocked.Exchange(ref _deals[0].State, (Generation(_deals[0].State) + 1) << 32);
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
        _nodes.Stay(_nodeOf[worker]);
        long seen = 0;
        while (true)
        {
            seen = Await(seen);
            if (_isDisposed)
            {
                return;
            }

            Share(worker, _nodeOf[worker]);
        }
    }

    /// <summary>Takes units and does them until there are none left.</summary>
    /// <returns>How many.</returns>
    private int Share(int worker, int node)
    {
        int done = 0;
        while (TryTake(node, out int unit))
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

    private bool TryTake(int node, out int unit)
    {
        for (int other = 0; other < Nodes; other++)
        {
            if (TryTake(ref _deals[(node + other) % Nodes], out unit))
            {
                return true;
            }
        }

        unit = 0;
        return false;
    }

    // Until who took the unit has said that it is done the phase is not over, and what describes it stays.
    private static bool TryTake(ref Deal deal, out int unit)
    {
        long state = Volatile.Read(ref deal.State);
        while ((uint)state != 0)
        {
            long found = Interlocked.CompareExchange(ref deal.State, state - 1, state);
            if (found == state)
            {
                unit = deal.End - (int)(uint)state;
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
            if (Generation(Volatile.Read(ref _deals[0].State)) is long generation && generation != seen)
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
            while (Generation(Volatile.Read(ref _deals[0].State)) == seen)
            {
                Monitor.Wait(_parked);
            }

            Interlocked.Decrement(ref _sleeping);
            return Generation(Volatile.Read(ref _deals[0].State));
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

    /// <summary>A node's units; a cache line apart from the next one's.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 128)]
    private struct Deal
    {
        /// <summary>The phase's number above, below it how many of its units nobody has taken: who takes one knows of which phase it is.</summary>
        public long State;

        /// <summary>The number behind that of the node's last unit.</summary>
        public int End;
    }
}
