namespace Moe.Plugins.Cli;

/// <summary>One rank's tensors: tokens of its own and those of all, and sums of all and of its own.</summary>
internal sealed class ExchangeRank : RankTensors
{
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
        _tokens.CopyIn(_hostTokens.View, Stream);
        member.Memory.Synchronize(Stream);
    }

    /// <summary>Brings the rank's numbers to one exchange of each kind, over results that no exchange gives, and waits for it.</summary>
    /// <param name="tokens">Of all ranks.</param>
    public void ExchangeOnce(int tokens)
    {
        Poison.Fill(_hostFound);
        _gathered.CopyIn(_hostFound.View.FirstRows(tokens), Stream);
        _sums.CopyIn(_hostFound.View.FirstRows(tokens / Member.Count), Stream);
        MoePartial partial = Member.LendPartial(tokens);
        Member.Memory.CopyIn(partial.View.Address, _hostParts.View.Address, tokens * _hostParts.View.RowBytes, Stream);
        Scatter(partial, Stream);
        Gather(tokens, 1, Stream);
        Member.Memory.Synchronize(Stream);
    }

    /// <summary>Enqueues gatherings.</summary>
    public void Gather(int tokens, int rounds, nint stream)
    {
        for (int round = 0; round < rounds; round++)
        {
            Member.AllGather(new MoeGatherArguments
            {
                Input = _tokens.View.FirstRows(tokens / Member.Count),
                Output = _gathered.View.FirstRows(tokens),
                Stream = stream,
            });
        }
    }

    /// <summary>Enqueues sums of what the last one brought: it still lies there.</summary>
    public void Scatter(int tokens, int rounds, nint stream)
    {
        for (int round = 0; round < rounds; round++)
        {
            Scatter(Member.LendPartial(tokens), stream);
        }
    }

    /// <summary>Whether the rank holds all ranks' tokens, bit for bit.</summary>
    public bool HasTokens(IReadOnlyList<ExchangeRank> ranks, int tokens)
    {
        int own = tokens / ranks.Count;
        MoeTensorView found = Read(_gathered, tokens);
        return ranks.Select((rank, i) => (rank, i)).All(of => Bits(found, of.i * own, own).SequenceEqual(Bits(of.rank._hostTokens.View, 0, own)));
    }

    /// <summary>How far the rank's sums are from float64, on a sample of the rows.</summary>
    /// <param name="ranks">All ranks, with what they brought.</param>
    /// <param name="tokens">Of all ranks.</param>
    /// <param name="count">Rows that are looked at.</param>
    public double ErrorOfSums(IReadOnlyList<ExchangeRank> ranks, int tokens, int count)
    {
        int own = tokens / ranks.Count;
        MoeTensorView found = Read(_sums, own);
        var error = default(RelativeError);
        for (int i = 0; i < Math.Min(count, own); i++)
        {
            int row = (int)((long)i * own / Math.Min(count, own));
            for (int column = 0; column < found.Columns; column++)
            {
                double sum = ranks.Sum(rank => BenchNumbers.At(rank._hostParts.View, (Member.Rank * own) + row, column));
                error.Add(BenchNumbers.At(found, row, column), sum);
            }
        }

        return error.Value;
    }

    private static ReadOnlySpan<ushort> Bits(in MoeTensorView dense, int first, int rows) =>
        BFloat16.Span(dense).Slice(first * dense.Columns, rows * dense.Columns);

    private void Scatter(MoePartial partial, nint stream) => Member.ReduceScatter(new MoeReduceArguments
    {
        Partial = partial,
        Output = _sums.View.FirstRows(partial.Rows / Member.Count),
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
