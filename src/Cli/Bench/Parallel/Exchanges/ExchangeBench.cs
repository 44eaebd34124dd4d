namespace Moe.Plugins.Cli;

/// <summary>A group's ranks with tokens to exchange, as layers do whose ranks each bring their own: checks an exchange, then times rounds of it.</summary>
internal sealed class ExchangeBench : IDisposable
{
    /// <summary>Of a BF16 rounding of a sum.</summary>
    private const double ErrorLimit = 5e-3;

    private const int CheckedRows = 16;

    private readonly IMoeGroup _group;
    private readonly BenchSettings _settings;
    private readonly IMoeInstruments[] _instruments;
    private readonly ExchangeRank[] _ranks;

    public ExchangeBench(IMoeGroup group, IMoeInstrumentedBackend instrumented, BenchSettings settings)
    {
        _group = group;
        _settings = settings;
        _instruments = [.. group.Members.Select(member => instrumented.CreateInstruments(member.Device))];
        _ranks = [.. group.Members.Select(member => new ExchangeRank(member, settings.Seed))];
    }

    /// <summary>Measures one number of tokens.</summary>
    /// <param name="id">The group's plugin.</param>
    /// <param name="plan">Its plan; null for its own choice.</param>
    /// <param name="tokens">Of all ranks, a multiple of their number.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    public ExchangeRow Measure(string id, string? plan, int tokens, CancellationToken cancellationToken)
    {
        int rounds = ReductionBench.Rounds(_group, tokens);
        RankThreads.Run(_group, rank => _ranks[rank].ExchangeOnce(tokens));
        var row = new ExchangeRow { Group = id, Plan = plan, Tokens = tokens, Rounds = rounds, Right = IsRight(tokens) };
        if (!row.Right)
        {
            return row;
        }

        IReadOnlyList<(BenchTimes Times, int Kernels)> times = RankReplays.Measure(
            _group,
            _instruments,
            [
                ((rank, stream) => _ranks[rank].Gather(tokens, rounds, stream), rounds),
                ((rank, stream) => _ranks[rank].Scatter(tokens, rounds, stream), rounds),
            ],
            _settings,
            cancellationToken);
        return IsRight(tokens)
            ? row with
            {
                GatherMicroseconds = Math.Round(times[0].Times.Median, 3),
                ScatterMicroseconds = Math.Round(times[1].Times.Median, 3),
                Replays = times[0].Times.Count,
            }
            : row with { Right = false };
    }

    public void Dispose()
    {
        Array.ForEach(_ranks, rank => rank.Dispose());
        Array.ForEach(_instruments, instruments => instruments.Dispose());
    }

    private bool IsRight(int tokens) =>
        Array.TrueForAll(_ranks, rank => rank.HasTokens(_ranks, tokens) && rank.ErrorOfSums(_ranks, tokens, CheckedRows) <= ErrorLimit);
}
