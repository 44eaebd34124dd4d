namespace Moe.Plugins.Cli;

/// <summary>What ranks do together, in several ways, recorded by each rank and replayed by all at once, way after way.</summary>
internal static class RankReplays
{
    private const int WarmUps = 3;
    private const int FewestReplays = 3;

    /// <summary>Measures each way.</summary>
    /// <param name="group">The ranks, whose failure ends it.</param>
    /// <param name="instruments">Each rank's device's clock.</param>
    /// <param name="ways">What a rank enqueues, and how often that does it.</param>
    /// <param name="settings">How long.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    /// <returns>Of each way the slowest rank's times, and a rank's kernels, each of doing it once.</returns>
    public static IReadOnlyList<(BenchTimes Times, int Kernels)> Measure(
        IMoeGroup group,
        IReadOnlyList<IMoeInstruments> instruments,
        IReadOnlyList<(Action<int, nint> Enqueue, int Repeats)> ways,
        BenchSettings settings,
        CancellationToken cancellationToken)
    {
        int ranks = instruments.Count;
        List<double>[] times = [.. ways.Select(_ => new List<double>())];
        int[] kernels = new int[ways.Count];
        double[] latest = new double[ranks];
        bool isOver = false;
        using var barrier = new Barrier(ranks);
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
                for (int replay = -WarmUps; !Volatile.Read(ref isOver); replay++)
                {
                    for (int way = 0; way < ways.Count; way++)
                    {
                        Meet(barrier, group);
                        latest[rank] = recordings[way].Replay();
                        Meet(barrier, group);
                        if (rank == 0)
                        {
                            double slowest = latest.Max();
                            spent += slowest;
                            kernels[way] = recordings[way].KernelCount / ways[way].Repeats;
                            if (replay >= 0)
                            {
                                times[way].Add(slowest / ways[way].Repeats);
                            }
                        }
                    }

                    if (rank == 0)
                    {
                        int count = times[^1].Count;
                        Volatile.Write(ref isOver, cancellationToken.IsCancellationRequested
                            || (count >= FewestReplays && (spent > settings.Seconds * 1e6 || count >= settings.Replays)));
                    }

                    Meet(barrier, group);
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

    // A rank that does not come has failed, and the group has ended or will.
    private static void Meet(Barrier barrier, IMoeGroup group)
    {
        while (!barrier.SignalAndWait(TimeSpan.FromSeconds(1)))
        {
            if (group.Failure is { } failure)
            {
                throw new MoeException(failure.Reason, failure.Message, failure);
            }
        }
    }
}
