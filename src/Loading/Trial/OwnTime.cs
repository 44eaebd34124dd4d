using System.Diagnostics;
using System.Globalization;

namespace Moe.Plugins;

/// <summary>
/// How long this process could have run since the clock was made. What passes while it is suspended does not count, nor what its threads wait for
/// a processor on a busy machine: only a plugin's own slowness may be held against it.
/// </summary>
/// <param name="now">A clock that never goes back.</param>
/// <param name="waited">How long some thread has waited for a processor since the last question; zero where the system does not say.</param>
internal sealed class OwnTime(Func<TimeSpan> now, Func<TimeSpan> waited)
{
    /// <summary>How often the clock is to be looked at.</summary>
    public static readonly TimeSpan Tick = TimeSpan.FromMilliseconds(50);

    /// <summary>More than this between two looks, and the process was not running.</summary>
    private static readonly TimeSpan LongestGap = Tick * 4;

    private TimeSpan _last = now();

    /// <summary>The clock of this process.</summary>
    public static OwnTime Start()
    {
        long start = Stopwatch.GetTimestamp();
        var waits = new ProcessorWaits();
        return new OwnTime(() => Stopwatch.GetElapsedTime(start), waits.SinceLast);
    }

    /// <summary>The time until the last look.</summary>
    public TimeSpan Elapsed { get; private set; }

    /// <summary>Looks at the clock.</summary>
    public TimeSpan Look()
    {
        TimeSpan time = now();
        TimeSpan gap = time - _last;
        _last = time;
        TimeSpan own = (gap < LongestGap ? gap : LongestGap) - waited();
        Elapsed += own > TimeSpan.Zero ? own : TimeSpan.Zero;
        return Elapsed;
    }

    /// <summary>What Linux counts of each thread's waits: the second number of <c>/proc/self/task/ID/schedstat</c>, in nanoseconds.</summary>
    private sealed class ProcessorWaits
    {
        private const string Threads = "/proc/self/task";
        private Dictionary<string, long> _last = [];

        public TimeSpan SinceLast()
        {
            var next = new Dictionary<string, long>();
            long longest = 0;
            try
            {
                foreach (string thread in Directory.Exists(Threads) ? Directory.GetDirectories(Threads) : [])
                {
                    string[] numbers = File.ReadAllText(Path.Combine(thread, "schedstat")).Split(' ');
                    long wait = long.Parse(numbers[1], CultureInfo.InvariantCulture);
                    next[thread] = wait;
                    longest = Math.Max(longest, wait - _last.GetValueOrDefault(thread, wait));
                }
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or FormatException or IndexOutOfRangeException)
            {
                // A thread has ended meanwhile, or this system counts no waits.
            }

            _last = next;
            return TimeSpan.FromMicroseconds(longest / 1000.0);
        }
    }
}
