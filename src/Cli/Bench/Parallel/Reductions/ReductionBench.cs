namespace Moe.Plugins.Cli;

/// <summary>A group's ranks with tensors to reduce: checks a reduction, then times rounds of it that depend on each other.</summary>
internal sealed class ReductionBench : IDisposable
{
    /// <summary>Of a BF16 rounding of the normed sum, and what its own rounded sums make of it.</summary>
    private const double ErrorLimit = 1e-2;

    private const int CheckedRows = 64;

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
    /// <param name="id">The group's plugin.</param>
    /// <param name="plan">Its plan; null for its own choice.</param>
    /// <param name="tokens">The rows.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    public ReductionRow Measure(string id, string? plan, int tokens, CancellationToken cancellationToken)
    {
        int rounds = Rounds(_group, tokens);
        RankThreads.Run(_group, rank => _ranks[rank].ReduceOnce(tokens));
        (bool isRight, double error) = Compare(tokens);
        var row = new ReductionRow
        {
            Group = id,
            Plan = plan,
            Tokens = tokens,
            Rounds = rounds,
            Right = isRight,
            RelativeError = double.IsFinite(error) ? error : null,
        };
        if (!isRight)
        {
            return row;
        }

        (BenchTimes times, int kernels) = RankReplays.Measure(
            _group, _instruments, [((rank, stream) => _ranks[rank].Enqueue(tokens, rounds, stream), rounds)], _settings, cancellationToken)[0];
        return Compare(tokens).IsRight
            ? row with { Microseconds = Math.Round(times.Median, 3), Spread = Math.Round(times.Spread, 3), Replays = times.Count, Kernels = kernels }
            : row with { Right = false };
    }

    /// <summary>Rounds of a replay of some tokens.</summary>
    public static int Rounds(IMoeGroup group, int tokens) =>
        group.Members[0].Device.Kind == MoeDeviceKind.Cpu ? 1 : RoundsByTokens.First(entry => tokens <= entry.MostTokens).Rounds;

    public void Dispose()
    {
        Array.ForEach(_ranks, rank => rank.Dispose());
        Array.ForEach(_instruments, instruments => instruments.Dispose());
    }

    private (bool IsRight, double Error) Compare(int tokens)
    {
        ReductionOutput[] outputs = [.. _ranks.Select(rank => rank.Read(tokens))];
        double error = ReductionRank.ErrorOf(outputs[0], _ranks, Math.Min(tokens, CheckedRows));
        bool areEqual = Array.TrueForAll(outputs, output => output.Equals(outputs[0]));
        return (areEqual && error <= ErrorLimit, error);
    }
}
