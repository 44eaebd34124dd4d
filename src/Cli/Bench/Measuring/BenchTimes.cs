namespace Moe.Plugins.Cli;

/// <summary>Times of one forward: the median, and how far they spread.</summary>
/// <param name="Median">Microseconds.</param>
/// <param name="Spread">Half of what lies between the 10th and the 90th percentile.</param>
/// <param name="Count">Timed replays.</param>
internal readonly record struct BenchTimes(double Median, double Spread, int Count)
{
    private const int WarmUps = 3;
    private const int FewestReplays = 3;

    /// <summary>Replays a recording: some times to warm up, then until the time is over, but no more often than asked, and with the rest before each that was asked for.</summary>
    public static BenchTimes Measure(IMoeRecording recording, int forwards, BenchSettings settings, CancellationToken cancellationToken)
    {
        double budget = settings.Seconds * 1e6;
        double warm = 0;
        for (int i = 0; i < WarmUps && warm < budget / WarmUps; i++)
        {
            warm += recording.Replay();
        }

        var times = new List<double>();
        for (double spent = 0; times.Count < FewestReplays || (spent < budget && times.Count < settings.Replays);)
        {
            cancellationToken.ThrowIfCancellationRequested();
            cancellationToken.WaitHandle.WaitOne(settings.Rest);
            double time = recording.Replay();
            spent += time;
            times.Add(time / forwards);
        }

        return Of(times);
    }

    /// <summary>Summarises times of one forward.</summary>
    public static BenchTimes Of(IEnumerable<double> times)
    {
        double[] sorted = [.. times.Order()];
        return new BenchTimes(Percentile(sorted, 0.5), (Percentile(sorted, 0.9) - Percentile(sorted, 0.1)) / 2, sorted.Length);
    }

    private static double Percentile(double[] sorted, double share)
    {
        double place = share * (sorted.Length - 1);
        int below = (int)place;
        int above = Math.Min(below + 1, sorted.Length - 1);
        return sorted[below] + ((sorted[above] - sorted[below]) * (place - below));
    }
}
