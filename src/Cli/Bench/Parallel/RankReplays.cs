namespace Moe.Plugins.Cli;

/// <summary>What ranks do together, in several ways, recorded by each rank and replayed by all at once, way after way.</summary>
internal static class RankReplays
{
    private const int WarmUps = 3;
    private const int FewestReplays = 3;

    /// <summary>Measures each way.</summary>
    /// <param name="group">The ranks, whose failure ends it.</param>
    /// <param name="meeting">How they meet.</param>
    /// <param name="instruments">The clock of each device of this process's ranks.</param>
    /// <param name="ways">What a rank enqueues, and how often that does it.</param>
    /// <param name="settings">How long.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    /// <returns>Of each way the slowest rank's times, and a rank's kernels, each of doing it once.</returns>
    public static IReadOnlyList<(BenchTimes Times, int Kernels)> Measure(
        IMoeGroup group,
        RankMeeting meeting,
        IReadOnlyList<IMoeInstruments> instruments,
        IReadOnlyList<(Action<int, nint> Enqueue, int Repeats)> ways,
        BenchSettings settings,
        CancellationToken cancellationToken)
    {
        List<double>[] times = [.. ways.Select(_ => new List<double>())];
        int[] kernels = new int[ways.Count];
        RankThreads.Run(group, rank =>
        {
            IMoeRecording[] recordings = new IMoeRecording[ways.Count];
            try
            {
                for (int way = 0; way < ways.Count; way++)
                {
                    Action<int, nint> enqueue = ways[way].Enqueue;
                    recordings[way] = instruments[rank].Record(stream => enqueue(rank, stream));
                }

                double spent = 0;
                for (int replay = -WarmUps; !IsOver(replay, spent, settings); replay++)
                {
                    for (int way = 0; way < ways.Count; way++)
                    {
                        meeting.Meet();
                        double own = recordings[way].Replay();

                        // All ranks stop where one is told to.
                        double slowest = meeting.Largest(rank, cancellationToken.IsCancellationRequested ? double.PositiveInfinity : own);
                        spent += slowest;
                        if (rank == 0 && replay >= 0)
                        {
                            kernels[way] = recordings[way].KernelCount / ways[way].Repeats;
                            times[way].Add(slowest / ways[way].Repeats);
                        }
                    }
                }
            }
            finally
            {
                Array.ForEach(recordings, recording => recording?.Dispose());
            }
        });
        cancellationToken.ThrowIfCancellationRequested();
        return [.. times.Select((of, way) => (BenchTimes.Of(of), kernels[way]))];
    }

    // From what is the same on all ranks.
    private static bool IsOver(int replays, double spent, BenchSettings settings) =>
        double.IsInfinity(spent) || (replays >= FewestReplays && (spent > settings.Seconds * 1e6 || replays >= settings.Replays));
}
