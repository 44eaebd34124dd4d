namespace Moe.Plugins.Cli;

/// <summary>Times of one forward, both ways, replayed in turns: what a device's clock does over a second, it does to both.</summary>
/// <param name="Padded">With the host's copies.</param>
/// <param name="Skipping">Without.</param>
/// <param name="Saved">The difference, pair by pair.</param>
internal readonly record struct PaddingTimes(BenchTimes Padded, BenchTimes Skipping, BenchTimes Saved)
{
    private const int WarmUps = 3;
    private const int FewestPairs = 3;

    /// <summary>Replays both until the time is over, but no more often than asked.</summary>
    public static PaddingTimes Measure(
        IMoeRecording padded, IMoeRecording skipping, int forwards, BenchSettings settings, CancellationToken cancellationToken)
    {
        for (int i = 0; i < WarmUps; i++)
        {
            padded.Replay();
            skipping.Replay();
        }

        List<double> with = [];
        List<double> without = [];
        double budget = settings.Seconds * 1e6;
        for (double spent = 0; with.Count < FewestPairs || (spent < budget && with.Count < settings.Replays);)
        {
            cancellationToken.ThrowIfCancellationRequested();

            // Who goes first takes turns too.
            bool isPaddedFirst = with.Count % 2 == 0;
            double first = (isPaddedFirst ? padded : skipping).Replay();
            double second = (isPaddedFirst ? skipping : padded).Replay();
            spent += first + second;
            with.Add((isPaddedFirst ? first : second) / forwards);
            without.Add((isPaddedFirst ? second : first) / forwards);
        }

        return new PaddingTimes(BenchTimes.Of(with), BenchTimes.Of(without), BenchTimes.Of(with.Zip(without, (one, other) => one - other)));
    }
}
