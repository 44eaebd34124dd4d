namespace Moe.Plugins.Cli;

/// <summary>One rank's tensors: tokens of its own and those of all, and sums of all and of its own.</summary>
internal sealed class ExchangeRank : IDisposable
{
    private readonly IMoeCommunicator _member;
    private readonly List<IDisposable> _owned = [];
    private readonly MoeBuffer _hostTokens;
    private readonly MoeBuffer _hostParts;
    private readonly MoeBuffer _hostFound;
    private readonly DeviceBuffer _tokens;
    private readonly DeviceBuffer _gathered;
    private readonly DeviceBuffer _sums;
    private readonly nint _stream;

    public ExchangeRank(IMoeCommunicator member, int seed)
    {
        _member = member;
        int all = member.Request.MaxTokens;
        int own = all / member.Count;
        int width = member.Request.Width;
        _hostTokens = Own(BenchNumbers.Create(own, width, seed, member.Rank + 1));
        _hostParts = Own(BenchNumbers.Create(all, width, seed, member.Rank + (1 << 16)));
        _hostFound = Own(MoeBuffer.OnHost(MoeElementType.BFloat16, all, width));
        _tokens = Own(new DeviceBuffer(member.Memory, MoeElementType.BFloat16, own, width));
        _gathered = Own(new DeviceBuffer(member.Memory, MoeElementType.BFloat16, all, width));
        _sums = Own(new DeviceBuffer(member.Memory, MoeElementType.BFloat16, own, width));
        _stream = member.Memory.CreateStream();
        _tokens.CopyIn(_hostTokens.View, _stream);
        member.Memory.Synchronize(_stream);
    }

    /// <summary>Brings the rank's numbers to one exchange of each kind, over results of none, and waits for it.</summary>
    /// <param name="tokens">Of all ranks.</param>
    public void ExchangeOnce(int tokens)
    {
        Poison.Fill(_hostFound);
        _gathered.CopyIn(_hostFound.View.FirstRows(tokens), _stream);
        _sums.CopyIn(_hostFound.View.FirstRows(tokens / _member.Count), _stream);
        MoePartial partial = _member.LendPartial(tokens);
        _member.Memory.CopyIn(partial.View.Address, _hostParts.View.Address, tokens * _hostParts.View.RowBytes, _stream);
        Scatter(partial, _stream);
        Gather(tokens, 1, _stream);
        _member.Memory.Synchronize(_stream);
    }

    /// <summary>Enqueues gatherings.</summary>
    public void Gather(int tokens, int rounds, nint stream)
    {
        for (int round = 0; round < rounds; round++)
        {
            _member.AllGather(new MoeGatherArguments
            {
                Input = _tokens.View.FirstRows(tokens / _member.Count),
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
            Scatter(_member.LendPartial(tokens), stream);
        }
    }

    /// <summary>Whether the rank holds all ranks' tokens, bit for bit.</summary>
    public bool HasTokens(IReadOnlyList<ExchangeRank> ranks, int tokens)
    {
        int own = tokens / ranks.Count;
        MoeTensorView found = Read(_gathered, tokens);
        return ranks.Select((rank, i) => (rank, i)).All(of => Bytes(found, of.i * own, own).SequenceEqual(Bytes(of.rank._hostTokens.View, 0, own)));
    }

    /// <summary>How far the rank's sums are from float64, on a sample of the rows.</summary>
    /// <param name="ranks">All ranks, with what they brought.</param>
    /// <param name="tokens">Of all ranks.</param>
    /// <param name="count">Rows that are looked at.</param>
    public double ErrorOfSums(IReadOnlyList<ExchangeRank> ranks, int tokens, int count)
    {
        int own = tokens / ranks.Count;
        MoeTensorView found = Read(_sums, own);
        double difference = 0;
        double reference = 0;
        for (int i = 0; i < Math.Min(count, own); i++)
        {
            int row = (int)((long)i * own / Math.Min(count, own));
            for (int column = 0; column < found.Columns; column++)
            {
                double sum = ranks.Sum(rank => BenchNumbers.At(rank._hostParts.View, (_member.Rank * own) + row, column));
                double off = BenchNumbers.At(found, row, column) - sum;
                difference += off * off;
                reference += sum * sum;
            }
        }

        return Math.Sqrt(difference / reference);
    }

    public void Dispose()
    {
        _owned.AsEnumerable().Reverse().ToList().ForEach(item => item.Dispose());
        _member.Memory.DestroyStream(_stream);
    }

    private static unsafe ReadOnlySpan<byte> Bytes(in MoeTensorView dense, int first, int rows) =>
        new((void*)dense.RowAddress(first), checked((int)(rows * dense.RowBytes)));

    private void Scatter(MoePartial partial, nint stream) => _member.ReduceScatter(new MoeReduceArguments
    {
        Partial = partial,
        Output = _sums.View.FirstRows(partial.Rows / _member.Count),
        Stream = stream,
    });

    private MoeTensorView Read(DeviceBuffer buffer, int rows)
    {
        MoeTensorView found = _hostFound.View.FirstRows(rows);
        buffer.CopyOut(found, _stream);
        _member.Memory.Synchronize(_stream);
        return found;
    }

    private T Own<T>(T item)
        where T : IDisposable
    {
        _owned.Add(item);
        return item;
    }
}
