namespace Moe.Plugins.Cli;

/// <summary>One rank's tensors: what it brings to a reduction, and where the results go.</summary>
internal sealed class ReductionRank : IDisposable
{
    private const float Epsilon = 1e-5f;

    private readonly IMoeCommunicator _member;
    private readonly List<IDisposable> _owned = [];
    private readonly MoeBuffer _hostPartial;
    private readonly MoeBuffer _hostResidual;
    private readonly MoeBuffer _hostWeight;
    private readonly MoeBuffer _hostOutput;
    private readonly MoeBuffer _hostResidualOutput;
    private readonly DeviceBuffer _residual;
    private readonly DeviceBuffer _weight;
    private readonly DeviceBuffer _output;
    private readonly DeviceBuffer _residualOutput;
    private readonly nint _stream;

    public ReductionRank(IMoeCommunicator member, int seed)
    {
        _member = member;
        int most = member.Request.MaxTokens;
        _hostPartial = Own(BenchNumbers.Create(most, member.Request.Width, seed, member.Rank + 1));
        _hostResidual = Own(BenchNumbers.Create(most, member.Request.Width, seed, 0));
        _hostWeight = Own(BenchNumbers.Create(1, member.Request.Width, seed, 1 << 20));
        _hostOutput = Own(MoeBuffer.OnHost(MoeElementType.BFloat16, most, member.Request.Width));
        _hostResidualOutput = Own(MoeBuffer.OnHost(MoeElementType.BFloat16, most, member.Request.Width));
        _residual = Device(most);
        _weight = Device(1);
        _output = Device(most);
        _residualOutput = Device(most);
        _stream = member.Memory.CreateStream();
        _residual.CopyIn(_hostResidual.View, _stream);
        _weight.CopyIn(_hostWeight.View, _stream);
        member.Memory.Synchronize(_stream);
    }

    /// <summary>Brings the rank's numbers to a reduction, and waits for it.</summary>
    public void ReduceOnce(int tokens)
    {
        IMoeMemory memory = _member.Memory;
        Poison.Fill(_hostOutput);
        Poison.Fill(_hostResidualOutput);
        _output.CopyIn(_hostOutput.View.FirstRows(tokens), _stream);
        _residualOutput.CopyIn(_hostResidualOutput.View.FirstRows(tokens), _stream);
        MoePartial partial = _member.LendPartial(tokens);
        memory.CopyIn(partial.View.Address, _hostPartial.View.Address, tokens * _hostPartial.View.RowBytes, _stream);
        Reduce(partial, _stream);
        memory.Synchronize(_stream);
    }

    /// <summary>Enqueues reductions of what the last one brought: it still lies there.</summary>
    public void Enqueue(int tokens, int rounds, nint stream)
    {
        for (int round = 0; round < rounds; round++)
        {
            Reduce(_member.LendPartial(tokens), stream);
        }
    }

    /// <summary>Reads what the rank holds.</summary>
    public ReductionOutput Read(int tokens)
    {
        var output = new ReductionOutput(_hostOutput.View.FirstRows(tokens), _hostResidualOutput.View.FirstRows(tokens));
        _output.CopyOut(output.Normed, _stream);
        _residualOutput.CopyOut(output.Residual, _stream);
        _member.Memory.Synchronize(_stream);
        return output;
    }

    /// <summary>How far a result is from float64, of its normed sums or of the sums, whichever is further.</summary>
    /// <param name="output">A rank's result.</param>
    /// <param name="ranks">All ranks, with what they brought.</param>
    /// <param name="count">Rows that are looked at, spread over the result.</param>
    public static double ErrorOf(ReductionOutput output, IReadOnlyList<ReductionRank> ranks, int count)
    {
        int width = output.Normed.Columns;
        double[] sums = new double[width];
        (double Difference, double Reference) normed = default;
        (double Difference, double Reference) plain = default;
        for (int i = 0; i < count; i++)
        {
            int row = (int)((long)i * output.Normed.Rows / count);
            double squares = 0;
            for (int column = 0; column < width; column++)
            {
                double sum = At(ranks[0]._hostResidual.View, row, column) + ranks.Sum(rank => At(rank._hostPartial.View, row, column));
                sums[column] = sum;
                squares += sum * sum;
                Add(ref plain, At(output.Residual, row, column), sum);
            }

            double factor = 1 / Math.Sqrt((squares / width) + Epsilon);
            for (int column = 0; column < width; column++)
            {
                Add(ref normed, At(output.Normed, row, column), sums[column] * factor * At(ranks[0]._hostWeight.View, 0, column));
            }
        }

        return Math.Max(Error(normed), Error(plain));
    }

    public void Dispose()
    {
        _owned.AsEnumerable().Reverse().ToList().ForEach(item => item.Dispose());
        _member.Memory.DestroyStream(_stream);
    }

    private static void Add(ref (double Difference, double Reference) sums, double got, double expected)
    {
        sums.Difference += (got - expected) * (got - expected);
        sums.Reference += expected * expected;
    }

    private static double Error((double Difference, double Reference) sums) => Math.Sqrt(sums.Difference / sums.Reference);

    private static double At(MoeTensorView view, int row, int column) => BenchNumbers.At(view, row, column);

    private void Reduce(MoePartial partial, nint stream) => _member.ReduceAddNorm(new MoeReduceAddNormArguments
    {
        Partial = partial,
        AddNorm = new MoeAddNorm
        {
            NormWeight = _weight.View,
            Epsilon = Epsilon,
            Residual = _residual.View.FirstRows(partial.Rows),
            ResidualOutput = _residualOutput.View.FirstRows(partial.Rows),
        },
        Output = _output.View.FirstRows(partial.Rows),
        Stream = stream,
    });

    private DeviceBuffer Device(int rows) => Own(new DeviceBuffer(_member.Memory, MoeElementType.BFloat16, rows, _member.Request.Width));

    private T Own<T>(T item)
        where T : IDisposable
    {
        _owned.Add(item);
        return item;
    }
}
