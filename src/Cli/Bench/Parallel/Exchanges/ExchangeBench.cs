namespace Moe.Plugins.Cli;

/// <summary>A group's ranks with tokens to exchange, as layers do whose ranks each bring their own: checks an exchange, then times rounds of it.</summary>
internal sealed class ExchangeBench(IMoeGroup group, IMoeInstrumentedBackend instrumented, BenchSettings settings)
    : RankBench<ExchangeRank>(group, new ThreadMeeting(group), instrumented, settings, member => new ExchangeRank(member, settings.Seed))
{
    /// <summary>Of a BF16 rounding of a sum.</summary>
    private const double ErrorLimit = 5e-3;

    private const int CheckedRows = 16;

    /// <summary>Measures one number of tokens.</summary>
    /// <param name="id">The group's plugin.</param>
    /// <param name="plan">Its plan; null for its own choice.</param>
    /// <param name="tokens">Of all ranks, a multiple of their number.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    public ExchangeRow Measure(string id, string? plan, int tokens, CancellationToken cancellationToken)
    {
        int rounds = Rounds(tokens);
        bool isRight = IsRightOnce(tokens, isChosen: false) && IsRightOnce(tokens, isChosen: true);
        var row = new ExchangeRow { Group = id, Plan = plan, Tokens = tokens, LeftOut = Math.Round(Ranks[0].LeftOut(tokens), 4), Rounds = rounds, Right = isRight };
        if (!row.Right)
        {
            return row;
        }

        IReadOnlyList<(BenchTimes Times, int Kernels)> times = Time(
            rounds,
            cancellationToken,
            (rank, stream) => rank.Gather(tokens, isChosen: false, rounds, stream),
            (rank, stream) => rank.Scatter(tokens, isChosen: false, rounds, stream),
            (rank, stream) => rank.Gather(tokens, isChosen: true, rounds, stream),
            (rank, stream) => rank.Scatter(tokens, isChosen: true, rounds, stream));
        return IsRight(tokens, isChosen: true)
            ? row with
            {
                GatherMicroseconds = Math.Round(times[0].Times.Median, 3),
                ScatterMicroseconds = Math.Round(times[1].Times.Median, 3),
                ChosenGatherMicroseconds = Math.Round(times[2].Times.Median, 3),
                ChosenScatterMicroseconds = Math.Round(times[3].Times.Median, 3),
                Replays = times[0].Times.Count,
            }
            : row with { Right = false };
    }

    private bool IsRightOnce(int tokens, bool isChosen)
    {
        RankThreads.Run(Group, rank => Ranks[rank].ExchangeOnce(tokens, isChosen));
        return IsRight(tokens, isChosen);
    }

    private bool IsRight(int tokens, bool isChosen) =>
        Array.TrueForAll(Ranks, rank => rank.HasTokens(Ranks, tokens, isChosen) && rank.ErrorOfSums(Ranks, tokens, isChosen, CheckedRows) <= ErrorLimit);
}
