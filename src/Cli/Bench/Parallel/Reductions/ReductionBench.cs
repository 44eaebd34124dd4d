namespace Moe.Plugins.Cli;

/// <summary>A group's ranks with tensors to reduce: checks a reduction, then times rounds of it that depend on each other.</summary>
internal sealed class ReductionBench(IMoeGroup group, RankMeeting meeting, IMoeInstrumentedBackend instrumented, BenchSettings settings)
    : RankBench<ReductionRank>(group, meeting, instrumented, settings, member => new ReductionRank(member, settings.Seed))
{
    /// <summary>Of a BF16 rounding of the normed sum, and what its own rounded sums make of it.</summary>
    private const double ErrorLimit = 1e-2;

    private const int CheckedRows = 64;

    private readonly int _seed = settings.Seed;
    private readonly List<MoeBuffer> _others = [];
    private MoeTensorView[] _parts = [];

    /// <summary>Measures one number of tokens.</summary>
    /// <param name="id">The group's plugin.</param>
    /// <param name="plan">Its plan; null for its own choice.</param>
    /// <param name="tokens">The rows.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    public ReductionRow Measure(string id, string? plan, int tokens, CancellationToken cancellationToken)
    {
        int rounds = Rounds(tokens);
        RankThreads.Run(Group, rank => Ranks[rank].ReduceOnce(tokens));
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

        (BenchTimes times, int kernels) = Time(rounds, cancellationToken, (rank, stream) => rank.Enqueue(tokens, rounds, stream))[0];
        return Compare(tokens).IsRight
            ? row with { Microseconds = Math.Round(times.Median, 3), Spread = Math.Round(times.Spread, 3), Replays = times.Count, Kernels = kernels }
            : row with { Right = false };
    }

    public override void Dispose()
    {
        base.Dispose();
        _others.ForEach(part => part.Dispose());
    }

    // Where all processes hold the same bits, they come to the same.
    private (bool IsRight, double Error) Compare(int tokens)
    {
        ReductionOutput[] outputs = [.. Ranks.Select(rank => rank.Read(tokens))];
        double error = ReductionRank.ErrorOf(outputs[0], Ranks[0], Parts(), Math.Min(tokens, CheckedRows));
        bool areEqual = Array.TrueForAll(outputs, output => output.Equals(outputs[0]));
        areEqual = Meeting.AreEqual(areEqual ? outputs[0].Hash() : []) && areEqual;
        return (areEqual && error <= ErrorLimit, error);
    }

    /// <summary>What each rank brings, by rank, those of other processes too.</summary>
    private MoeTensorView[] Parts()
    {
        if (_parts.Length == 0)
        {
            IMoeCommunicator member = Group.Members[0];
            _others.AddRange(Enumerable.Range(0, member.Count).Except(Group.Members.Select(own => own.Rank))
                .Select(rank => ReductionRank.PartOf(member.Request, _seed, rank)));
            int next = 0;
            _parts = [.. Enumerable.Range(0, member.Count).Select(rank =>
                Array.FindIndex([.. Group.Members], own => own.Rank == rank) is var place and >= 0 ? Ranks[place].Part : _others[next++].View)];
        }

        return _parts;
    }
}
