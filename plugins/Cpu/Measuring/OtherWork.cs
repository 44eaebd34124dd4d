using System.Diagnostics;
using System.Globalization;

namespace Moe.Plugins.Cpu;

/// <summary>How busy other processes keep the machine: they take what a measurement takes for granted.</summary>
internal sealed class OtherWork
{
    private const string LinuxFile = "/proc/stat";

    /// <summary>Ticks a second of that file's counts, on every architecture of today's Linux (<c>USER_HZ</c>, time(7)).</summary>
    private const double TicksPerSecond = 100;

    /// <summary>Processors' worth of others' work that is told; less is an ordinary system's.</summary>
    private const double Notable = 0.2;

    private static readonly TimeSpan ShortestInterval = TimeSpan.FromMilliseconds(200);

    private long _since = Stopwatch.GetTimestamp();
    private double _others = OthersSeconds();

    /// <summary>Says what others did since the last time, in words; null where it is nothing to speak of, or unknown.</summary>
    public string? Describe()
    {
        TimeSpan interval = Stopwatch.GetElapsedTime(_since);
        if (interval < ShortestInterval)
        {
            return null;
        }

        double others = OthersSeconds();
        double processors = (others - _others) / interval.TotalSeconds;
        (_since, _others) = (Stopwatch.GetTimestamp(), others);
        return processors < Notable
            ? null
            : string.Create(CultureInfo.InvariantCulture, $"other processes kept {processors:0.0} processors busy");
    }

    /// <summary>Seconds that all processors worked since the start, without this process: user, nice, system, irq, softirq, steal (proc_stat(5)).</summary>
    private static double OthersSeconds()
    {
        if (!OperatingSystem.IsLinux() || !File.Exists(LinuxFile))
        {
            return 0;
        }

        string[] counts = File.ReadLines(LinuxFile).First().Split(' ', StringSplitOptions.RemoveEmptyEntries);
        double all = ((int[])[1, 2, 3, 6, 7, 8]).Sum(i => double.Parse(counts[i], CultureInfo.InvariantCulture)) / TicksPerSecond;
        return all - Environment.CpuUsage.TotalTime.TotalSeconds;
    }
}
