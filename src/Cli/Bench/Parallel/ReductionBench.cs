namespace Moe.Plugins.Cli;

/// <summary>A group's ranks with tensors to reduce: checks a reduction, then times rounds of it that depend on each other.</summary>
internal sealed class ReductionBench : IDisposable
{
    /// <summary>Of a BF16 rounding of the normed sum, and what its own rounded sums make of it.</summary>
    private const double ErrorLimit = 1e-2;

    private const int CheckedRows = 64;
    private const int WarmUps = 3;
    private const int FewestReplays = 3;

    /// <summary>Rounds of a replay: enough that the ranks' unequal starts weigh little.</summary>
    private static readonly (int MostTokens, int Rounds)[] RoundsByTokens = [(128, 200), (1024, 50), (int.MaxValue, 10)];

    private readonly IMoeGroup _group;
    private readonly BenchSettings _settings;
    private readonly IMoeInstruments[] _instruments;
    private readonly ReductionRank[] _ranks;

    public ReductionBench(IMoeGroup group, IMoeInstrumentedBackend instrumented, BenchSettings settings)
    {
        _group = group;
        _settings = settings;
        _instruments = [.. group.Members.Select(member => instrumented.CreateInstruments(member.Device))];
        _ranks = [.. group.Members.Select(member => new ReductionRank(member, settings.Seed))];
    }

    /// <summary>Measures one number of tokens.</summary>
    public ReductionRow Measure(int tokens, CancellationToken cancellationToken)
    {
        bool isOnProcessor = _group.Members[0].Device.Kind == MoeDeviceKind.Cpu;
        int rounds = isOnProcessor ? 1 : RoundsByTokens.First(entry => tokens <= entry.MostTokens).Rounds;
        var row = new ReductionRow { Group = "", Tokens = tokens, Right = false, Rounds = rounds };
        (bool isRight, double error) = Check(tokens);
        row = row with { Right = isRight, RelativeError = double.IsFinite(error) ? error : null };
        if (!isRight)
        {
            return row;
        }

        var times = new List<double>();
        int kernels = 0;
        using var barrier = new Barrier(_ranks.Length);
        double[] latest = new double[_ranks.Length];
        bool isOver = false;
        RankThreads.Run(_group, rank =>
        {
            // No rank waits here for one that threw: its exception disposes of nothing, and the others' replays end with the group.
            using IMoeRecording recording = _instruments[rank].Record(stream => _ranks[rank].Enqueue(tokens, rounds, stream));
            double spent = 0;
            for (int replay = -WarmUps; !Volatile.Read(ref isOver); replay++)
            {
                Meet(barrier);
                latest[rank] = recording.Replay();
                Meet(barrier);
                if (rank == 0)
                {
                    kernels = recording.KernelCount / rounds;
                    double slowest = latest.Max();
                    spent += slowest;
                    if (replay >= 0)
                    {
                        times.Add(slowest / rounds);
                    }

                    isOver = cancellationToken.IsCancellationRequested
                        || (times.Count >= FewestReplays && (spent > _settings.Seconds * 1e6 || times.Count >= _settings.Replays));
                }

                Meet(barrier);
            }
        });
        cancellationToken.ThrowIfCancellationRequested();
        (bool isStillRight, _) = Compare(tokens);
        var time = BenchTimes.Of(times);
        return row with
        {
            Right = isStillRight,
            Microseconds = isStillRight ? Math.Round(time.Median, 3) : null,
            Spread = isStillRight ? Math.Round(time.Spread, 3) : null,
            Replays = time.Count,
            Kernels = kernels,
        };
    }

    public void Dispose()
    {
        Array.ForEach(_ranks, rank => rank.Dispose());
        Array.ForEach(_instruments, instruments => instruments.Dispose());
    }

    // A rank that does not come has failed, and the group has ended or will.
    private void Meet(Barrier barrier)
    {
        while (!barrier.SignalAndWait(TimeSpan.FromSeconds(1)))
        {
            if (_group.Failure is { } failure)
            {
                throw new MoeException(failure.Reason, failure.Message, failure);
            }
        }
    }

    private (bool IsRight, double Error) Check(int tokens)
    {
        RankThreads.Run(_group, rank => _ranks[rank].ReduceOnce(tokens));
        return Compare(tokens);
    }

    private (bool IsRight, double Error) Compare(int tokens)
    {
        ReductionOutput[] outputs = [.. _ranks.Select(rank => rank.Read(tokens))];
        double error = ReductionRank.ErrorOf(outputs[0], _ranks, Math.Min(tokens, CheckedRows));
        bool areEqual = Array.TrueForAll(outputs, output => output.Equals(outputs[0]));
        return (areEqual && error <= ErrorLimit, error);
    }
}
