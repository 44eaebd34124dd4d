using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Collectives;

/// <summary>One rank's end of a group whose numbers NCCL carries. Residual and norm are a kernel behind its sum.</summary>
internal sealed class NcclMember : CudaMember
{
    private readonly NcclMemory _memory;
    private readonly ReductionKernels _kernels;
    private readonly NcclCommunicator _communicator;
    private readonly bool _roundsAtSteps;
    private GroupParameters _template;

    /// <param name="life">The group's.</param>
    /// <param name="rank">This rank.</param>
    /// <param name="memory">The rank's.</param>
    /// <param name="kernels">What comes before and behind NCCL's sums.</param>
    /// <param name="deviceMemory">The device's memory.</param>
    /// <param name="communicator">NCCL's end.</param>
    /// <param name="roundsAtSteps">
    /// Whether NCCL sums values of the rows' own type, as most programs have it do, and rounds at every step: to compare with. Else it sums float32.
    /// </param>
    public NcclMember(
        GroupLife life, int rank, NcclMemory memory, ReductionKernels kernels, IMoeMemory deviceMemory, NcclCommunicator communicator, bool roundsAtSteps)
        : base(life, rank, kernels.Context, deviceMemory, memory.Partial)
    {
        _roundsAtSteps = roundsAtSteps;
        _memory = memory;
        _kernels = kernels;
        _communicator = communicator;
        _template = new GroupParameters
        {
            RowBytes = RowShape.Of(Request.Width, Request.ElementType).RowBytes,
            InverseWidth = 1f / Request.Width,
        };
    }

    public override IReadOnlyList<string> Ways { get; } = ["NCCL's all-reduce"];

    public NcclCommunicator Communicator => _communicator;

    public override void Try(int way, int rows, nint output, nint stream)
    {
        using CudaContextScope scope = Context.MakeCurrent();
        Reduce(rows, default, new MoeTensorView(output, Device, Request.ElementType, rows, Request.Width), stream);
    }

    public void Free() => _memory.Dispose();

    protected override void Reduce(int rows, in MoeAddNorm addNorm, in MoeTensorView output, nint stream)
    {
        if (rows == 0)
        {
            return;
        }

        bool isAll = IsFloat && IsDense(output) && addNorm.NormWeight.IsEmpty && addNorm.Residual.IsEmpty && addNorm.ResidualOutput.IsEmpty;
        nint sums = isAll ? output.Address : _memory.Sums;
        _communicator.Call(
            "ncclAllReduce",
            (_roundsAtSteps ? Partial : Parts(rows, stream), sums, (long)rows * Request.Width, stream),
            _roundsAtSteps && !IsFloat
                ? static (of, handle) => NcclApi.ncclAllReduce(of.Item1, of.sums, (nuint)of.Item3, NcclType.BFloat16, NcclOperation.Sum, handle, of.stream)
                : static (of, handle) => NcclApi.ncclAllReduce(of.Item1, of.sums, (nuint)of.Item3, NcclType.Float32, NcclOperation.Sum, handle, of.stream));
        if (!isAll)
        {
            Finish(rows, sums, _roundsAtSteps, addNorm, output, stream);
        }
    }

    protected override void Scatter(int rows, in MoeTokenExperts experts, in MoeTensorView output, nint stream)
    {
        if (rows == 0)
        {
            return;
        }

        long count = (long)rows * Request.Width;
        bool isAll = IsFloat && IsDense(output);
        nint sums = isAll ? output.Address : checked((nint)(_memory.Sums + (Rank * count * sizeof(float))));
        _communicator.Call(
            "ncclReduceScatter",
            (Parts(rows * Count, stream), sums, count, stream),
            static (of, handle) => NcclApi.ncclReduceScatter(of.Item1, of.sums, (nuint)of.count, NcclType.Float32, NcclOperation.Sum, handle, of.stream));
        if (!isAll)
        {
            Finish(rows, sums, ofOwnType: false, default, output, stream);
        }
    }

    protected override void Gather(in MoeGatherArguments arguments)
    {
        MoeTensorView input = arguments.Input;
        MoeTensorView output = arguments.Output;
        if (input.Rows == 0)
        {
            return;
        }

        // NCCL knows no strides: rows that lie apart are brought together before it, and spread behind it.
        nint from = IsDense(input) ? input.Address : _memory.Gathered + checked((nint)(Rank * input.Rows * input.RowBytes));
        nint to = IsDense(output) ? output.Address : _memory.Gathered;
        if (!IsDense(input))
        {
            Memory.Copy2D(from, input.RowBytes, input.Address, input.RowStride, input.RowBytes, input.Rows, arguments.Stream);
        }

        _communicator.Call(
            "ncclAllGather",
            (from, to, input.Rows * input.RowBytes, arguments.Stream),
            static (of, handle) => NcclApi.ncclAllGather(of.from, of.to, (nuint)of.Item3, NcclType.Int8, handle, of.Stream));
        if (!IsDense(output))
        {
            Memory.Copy2D(output.Address, output.RowStride, to, input.RowBytes, input.RowBytes, output.Rows, arguments.Stream);
        }
    }

    private static bool IsDense(in MoeTensorView view) => view.RowStride == view.RowBytes;

    private bool IsFloat => Request.ElementType == MoeElementType.Float32;

    // What NCCL reads: sums over ranks are of float32, and NCCL's own of BF16 are rounded at every step.
    private nint Parts(int rows, nint stream)
    {
        if (IsFloat)
        {
            return Partial;
        }

        _kernels.Widen(Partial, _memory.Sums, (long)rows * Request.Width, stream);
        return _memory.Sums;
    }

    private void Finish(int rows, nint sums, bool ofOwnType, in MoeAddNorm addNorm, in MoeTensorView output, nint stream)
    {
        GroupParameters parameters = _template;
        parameters.Take(addNorm, output);
        parameters.Rows = rows;
        parameters.Partial = sums;
        parameters.Output = output.Address;
        parameters.Residual = addNorm.Residual.Address;
        parameters.ResidualOut = addNorm.ResidualOutput.Address;
        _kernels.FinishRows(ofOwnType, stream, in parameters);
    }
}
