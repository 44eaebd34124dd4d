namespace Moe.Plugins.Cli;

/// <summary>One rank's tensors: what it brings to a reduction, and where the results go.</summary>
internal sealed class ReductionRank : RankTensors
{
    private const float Epsilon = 1e-5f;

    private readonly MoeBuffer _hostPartial;
    private readonly MoeBuffer _hostResidual;
    private readonly MoeBuffer _hostWeight;
    private readonly MoeBuffer _hostOutput;
    private readonly MoeBuffer _hostResidualOutput;
    private readonly DeviceBuffer _residual;
    private readonly DeviceBuffer _weight;
    private readonly DeviceBuffer _output;
    private readonly DeviceBuffer _residualOutput;

    public ReductionRank(IMoeCommunicator member, int seed)
        : base(member)
    {
        int most = member.Request.MaxTokens;
        _hostPartial = Own(PartOf(member.Request, seed, member.Rank));
        _hostResidual = Numbers(most, seed, 0);
        _hostWeight = Numbers(1, seed, 1 << 20);
        _hostOutput = OnHost(most);
        _hostResidualOutput = OnHost(most);
        _residual = OnDevice(most);
        _weight = OnDevice(1);
        _output = OnDevice(most);
        _residualOutput = OnDevice(most);
        _residual.CopyIn(_hostResidual.View, Stream);
        _weight.CopyIn(_hostWeight.View, Stream);
        member.Memory.Synchronize(Stream);
    }

    /// <summary>What this rank brings.</summary>
    public MoeTensorView Part => _hostPartial.View;

    /// <summary>What a rank brings, in host memory.</summary>
    public static MoeBuffer PartOf(MoeGroupRequest request, int seed, int rank) => BenchNumbers.Create(request.MaxTokens, request.Width, seed, rank + 1);

    /// <summary>Brings the rank's numbers to a reduction, and waits for it.</summary>
    public void ReduceOnce(int tokens)
    {
        IMoeMemory memory = Member.Memory;
        Poison.Fill(_hostOutput);
        Poison.Fill(_hostResidualOutput);
        _output.CopyIn(_hostOutput.View.FirstRows(tokens), Stream);
        _residualOutput.CopyIn(_hostResidualOutput.View.FirstRows(tokens), Stream);
        MoePartial partial = Member.LendPartial(tokens);
        memory.CopyIn(partial.View.Address, _hostPartial.View.Address, tokens * _hostPartial.View.RowBytes, Stream);
        Reduce(partial, Stream);
        memory.Synchronize(Stream);
    }

    /// <summary>Enqueues reductions of what the last one brought: it still lies there.</summary>
    public void Enqueue(int tokens, int rounds, nint stream)
    {
        for (int round = 0; round < rounds; round++)
        {
            Reduce(Member.LendPartial(tokens), stream);
        }
    }

    /// <summary>Reads what the rank holds.</summary>
    public ReductionOutput Read(int tokens)
    {
        var output = new ReductionOutput(_hostOutput.View.FirstRows(tokens), _hostResidualOutput.View.FirstRows(tokens));
        _output.CopyOut(output.Normed, Stream);
        _residualOutput.CopyOut(output.Residual, Stream);
        Member.Memory.Synchronize(Stream);
        return output;
    }

    /// <summary>How far a result is from float64, of its normed sums or of the sums, whichever is further.</summary>
    /// <param name="output">A rank's result.</param>
    /// <param name="own">Any rank, with what is the same on all.</param>
    /// <param name="parts">What each rank brought.</param>
    /// <param name="count">Rows that are looked at, spread over the result.</param>
    public static double ErrorOf(ReductionOutput output, ReductionRank own, IReadOnlyList<MoeTensorView> parts, int count)
    {
        int width = output.Normed.Columns;
        double[] sums = new double[width];
        var normed = default(RelativeError);
        var plain = default(RelativeError);
        for (int i = 0; i < count; i++)
        {
            int row = (int)((long)i * output.Normed.Rows / count);
            double squares = 0;
            for (int column = 0; column < width; column++)
            {
                double sum = At(own._hostResidual.View, row, column) + parts.Sum(part => At(part, row, column));
                sums[column] = sum;
                squares += sum * sum;
                plain.Add(At(output.Residual, row, column), sum);
            }

            double factor = 1 / Math.Sqrt((squares / width) + Epsilon);
            for (int column = 0; column < width; column++)
            {
                normed.Add(At(output.Normed, row, column), sums[column] * factor * At(own._hostWeight.View, 0, column));
            }
        }

        return Math.Max(normed.Value, plain.Value);
    }

    private static double At(MoeTensorView view, int row, int column) => BenchNumbers.At(view, row, column);

    private void Reduce(MoePartial partial, nint stream) => Member.ReduceAddNorm(new MoeReduceAddNormArguments
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
}
