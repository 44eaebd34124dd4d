using System.Diagnostics;

namespace Moe.Plugins.Cli;

/// <summary>How a whole model's steps are timed: on the host's clock, for their results come back to it.</summary>
internal static class StepTimes
{
    private const int LeastReplays = 3;
    private const int MostReplays = 200;

    /// <summary>Adds the milliseconds of as many steps as so many seconds allow.</summary>
    public static void Take(List<double> times, double seconds, Action step)
    {
        long start = Stopwatch.GetTimestamp();
        for (int replay = 0; replay < LeastReplays || (Stopwatch.GetElapsedTime(start).TotalSeconds < seconds && replay < MostReplays); replay++)
        {
            long begin = Stopwatch.GetTimestamp();
            step();
            times.Add(Stopwatch.GetElapsedTime(begin).TotalMilliseconds);
        }
    }

    /// <summary>The median, and half of what lies between the quartiles. Sorts the times.</summary>
    public static (double Median, double Spread) Of(List<double> times)
    {
        times.Sort();
        return (times[times.Count / 2], (times[times.Count * 3 / 4] - times[times.Count / 4]) / 2);
    }
}
