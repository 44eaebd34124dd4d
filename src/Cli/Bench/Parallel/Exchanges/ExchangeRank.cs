namespace Moe.Plugins.Cli;

/// <summary>One rank's tensors: tokens of its own and those of all, and sums of all and of its own.</summary>
internal sealed class ExchangeRank : RankTensors
{
    private const int TopK = 4;
    private const int Experts = 128;

    private readonly int[] _ids;
    private readonly MoeBuffer _deviceIds;
    private readonly MoeBuffer _hostTokens;
    private readonly MoeBuffer _hostParts;
    private readonly MoeBuffer _hostFound;
    private readonly DeviceBuffer _tokens;
    private readonly DeviceBuffer _gathered;
    private readonly DeviceBuffer _sums;

    public ExchangeRank(IMoeCommunicator member, int seed)
        : base(member)
    {
        int all = member.Request.MaxTokens;
        int own = all / member.Count;
        _hostTokens = Numbers(own, seed, member.Rank + 1);
        _hostParts = Numbers(all, seed, member.Rank + (1 << 16));
        _hostFound = OnHost(all);
        _tokens = OnDevice(own);
        _gathered = OnDevice(all);
        _sums = OnDevice(own);
        _ids = [.. Enumerable.Range(0, all).SelectMany(token => new Random((seed * 7919) + token).GetItems(Enumerable.Range(0, Experts).ToArray(), Experts).Distinct().Take(TopK))];
        _deviceIds = Own(new MoeBuffer(member.Memory, MoeElementType.Int32, all, TopK));
        _deviceIds.CopyFrom((ReadOnlySpan<int>)_ids);
        _tokens.CopyIn(_hostTokens.View, Stream);
        member.Memory.Synchronize(Stream);
    }

    /// <summary>Brings the rank's numbers to one exchange of each kind, over results that no exchange gives, and waits for it.</summary>
    /// <param name="tokens">Of all ranks.</param>
    /// <param name="isChosen">Whether the group is told the tokens' experts; the part of a rank that has none is zeros.</param>
    public void ExchangeOnce(int tokens, bool isChosen)
    {
        Poison.Fill(_hostFound);
        _gathered.CopyIn(_hostFound.View.FirstRows(tokens), Stream);
        _sums.CopyIn(_hostFound.View.FirstRows(tokens / Member.Count), Stream);
        MoePartial partial = Member.LendPartial(tokens);
        for (int row = 0; row < tokens; row++)
        {
            MoeTensorView own = _hostParts.View;
            nint target = partial.View.RowAddress(row);
            if (!isChosen || Wants(Member.Rank, row))
            {
                Member.Memory.CopyIn(target, own.RowAddress(row), own.RowBytes, Stream);
            }
            else
            {
                Member.Memory.Zero(target, own.RowBytes, Stream);
            }
        }

        Scatter(partial, isChosen, Stream);
        Gather(tokens, isChosen, 1, Stream);
        Member.Memory.Synchronize(Stream);
    }

    /// <summary>Enqueues gatherings.</summary>
    public void Gather(int tokens, bool isChosen, int rounds, nint stream)
    {
        for (int round = 0; round < rounds; round++)
        {
            Member.AllGather(new MoeGatherArguments
            {
                Input = _tokens.View.FirstRows(tokens / Member.Count),
                Output = _gathered.View.FirstRows(tokens),
                Experts = ExpertsOf(tokens, isChosen),
                Stream = stream,
            });
        }
    }

    /// <summary>Enqueues sums of what the last one brought: it still lies there.</summary>
    public void Scatter(int tokens, bool isChosen, int rounds, nint stream)
    {
        for (int round = 0; round < rounds; round++)
        {
            Scatter(Member.LendPartial(tokens), isChosen, stream);
        }
    }

    /// <summary>Share of the tokens' ways to other ranks that lead to none of their experts.</summary>
    public double LeftOut(int tokens)
    {
        int own = tokens / Member.Count;
        double left = Enumerable.Range(0, tokens).Sum(token => Enumerable.Range(0, Member.Count).Count(rank => rank != token / own && !Wants(rank, token)));
        return left / Math.Max(1, tokens * (Member.Count - 1));
    }

    /// <summary>Whether the rank holds all ranks' tokens, or those that have experts here, bit for bit.</summary>
    public bool HasTokens(IReadOnlyList<ExchangeRank> ranks, int tokens, bool isChosen)
    {
        int own = tokens / ranks.Count;
        MoeTensorView found = Read(_gathered, tokens);
        return Enumerable.Range(0, tokens).All(token =>
            (isChosen && !Wants(Member.Rank, token)) || Bits(found, token).SequenceEqual(Bits(ranks[token / own]._hostTokens.View, token % own)));
    }

    /// <summary>How far the rank's sums are from float64, on a sample of the rows.</summary>
    /// <param name="ranks">All ranks, with what they brought.</param>
    /// <param name="tokens">Of all ranks.</param>
    /// <param name="isChosen">Whether only ranks that have a token's experts have a part.</param>
    /// <param name="count">Rows that are looked at.</param>
    public double ErrorOfSums(IReadOnlyList<ExchangeRank> ranks, int tokens, bool isChosen, int count)
    {
        int own = tokens / ranks.Count;
        MoeTensorView found = Read(_sums, own);
        var error = default(RelativeError);
        for (int i = 0; i < Math.Min(count, own); i++)
        {
            int row = (int)((long)i * own / Math.Min(count, own));
            int token = (Member.Rank * own) + row;
            ExchangeRank[] parts = [.. ranks.Where((_, rank) => !isChosen || Wants(rank, token))];
            for (int column = 0; column < found.Columns; column++)
            {
                double sum = parts.Sum(rank => BenchNumbers.At(rank._hostParts.View, token, column));
                error.Add(BenchNumbers.At(found, row, column), sum);
            }
        }

        return error.Value;
    }

    private static ReadOnlySpan<ushort> Bits(in MoeTensorView dense, int row) => BFloat16.Span(dense).Slice(row * dense.Columns, dense.Columns);

    private MoeTokenExperts ExpertsOf(int tokens, bool isChosen) => isChosen
        ? new MoeTokenExperts { Ids = _deviceIds.View.FirstRows(tokens), ExpertCount = Experts, TensorCount = 1 }
        : default;

    private bool Wants(int rank, int token)
    {
        int each = ExpertsOf(1, isChosen: true).ExpertsOfRank(Member.Count);
        return _ids.AsSpan(token * TopK, TopK).ContainsAnyInRange(rank * each, ((rank + 1) * each) - 1);
    }

    private void Scatter(MoePartial partial, bool isChosen, nint stream) => Member.ReduceScatter(new MoeReduceArguments
    {
        Partial = partial,
        Output = _sums.View.FirstRows(partial.Rows / Member.Count),
        Experts = ExpertsOf(partial.Rows, isChosen),
        Stream = stream,
    });

    private MoeTensorView Read(DeviceBuffer buffer, int rows)
    {
        MoeTensorView found = _hostFound.View.FirstRows(rows);
        buffer.CopyOut(found, Stream);
        Member.Memory.Synchronize(Stream);
        return found;
    }
}
