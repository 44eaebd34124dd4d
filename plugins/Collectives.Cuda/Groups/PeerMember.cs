using Moe.Plugins.Kernels;

namespace Moe.Plugins.Collectives;

/// <summary>One rank's end of a group whose devices reach each other's memory.</summary>
internal sealed class PeerMember : CudaMember
{
    private readonly RankMemory _memory;
    private readonly ReductionKernels _kernels;
    private ReductionPlanner _planner = null!;
    private GroupParameters _template;

    /// <summary>Makes the end of a rank that has memory; it can do nothing before <see cref="Connect"/>.</summary>
    public PeerMember(GroupLife life, int rank, RankMemory memory, ReductionKernels kernels, IMoeMemory deviceMemory, nint partial)
        : base(life, rank, kernels.Context, deviceMemory, partial)
    {
        _memory = memory;
        _kernels = kernels;
    }

    public override IReadOnlyList<string> Ways { get; } = Enum.GetNames<ReductionWay>();

    /// <summary>The most blocks of each way that run at once where a rank shares its device with no other.</summary>
    public int MostResidentBlocks(ReductionWay way) => _kernels.MostResidentBlocks(way);

    /// <inheritdoc cref="ReductionKernels.MostResidentGatherBlocks"/>
    public int MostResidentGatherBlocks => _kernels.MostResidentGatherBlocks;

    /// <summary>Memory that all ranks reach.</summary>
    public nint Shared => _memory.Shared;

    /// <summary>Tells the rank where the others' memory is.</summary>
    /// <param name="planner">The group's.</param>
    /// <param name="addresses">Each rank's memory that all reach, as this rank's device does.</param>
    /// <param name="layout">What is where in it.</param>
    /// <param name="words">The rank's words in host memory.</param>
    /// <param name="mayOverlap">
    /// Whether the next launch may begin while a kernel waits. Not where ranks share a device: what begins could take the place of the kernel that is
    /// waited for.
    /// </param>
    public unsafe void Connect(ReductionPlanner planner, ReadOnlySpan<long> addresses, GroupLayout layout, nint words, bool mayOverlap)
    {
        _planner = planner;
        _template = new GroupParameters
        {
            State = _memory.State,
            Host = words,
            Patience = (ulong)(Request.Timeout.TotalMilliseconds * 1e6),
            SetBytes = layout.SetBytes,
            FlagsOffset = layout.FlagsOffset,
            Rank = Rank,
            Ranks = Count,
            RowBytes = RowShape.Of(Request.Width, Request.ElementType).RowBytes,
            InverseWidth = 1f / Request.Width,
            MayOverlap = mayOverlap ? 1 : 0,
            PartialOffset = layout.PartialOffset,
            SumsOffset = layout.SumsOffset,
            SumsBytes = layout.SumsBytes,
        };
        for (int rank = 0; rank < addresses.Length; rank++)
        {
            _template.Memory[rank] = addresses[rank];
        }
    }

    public override bool GainsByRouting(int rows, int topK, int tensorCount) => _planner.GainsByRouting(rows, topK, tensorCount);

    public override void Try(int way, int rows, nint output, nint stream)
    {
        using var scope = Context.MakeCurrent();
        var view = new MoeTensorView(output, Device, Request.ElementType, rows, Request.Width);
        Launch(_planner.For(Enum.GetValues<ReductionWay>()[way], rows), rows, 0, default, default, view, stream);
    }

    public void Free() => _memory.Dispose();

    protected override void Reduce(int rows, in MoeAddNorm addNorm, in MoeTensorView output, nint stream) =>
        Launch(_planner.ForRows(rows), rows, 0, default, addNorm, output, stream);

    protected override void Scatter(int rows, in MoeTokenExperts experts, in MoeTensorView output, nint stream) =>
        Launch(_planner.ForScatter(rows), rows, rows, _planner.LeavesOut(rows) ? ExpertParameters.Of(experts, Rank, Count) : default, default, output, stream);

    protected override void Gather(in MoeGatherArguments arguments)
    {
        MoeTensorView input = arguments.Input;
        MoeTensorView output = arguments.Output;
        if (input.RowBytes == 0)
        {
            return;
        }

        GatherPlan plan = _planner.ForGather(input.Rows, (int)input.RowBytes);
        var parameters = new GatherParameters
        {
            Group = _template,
            InputStride = input.RowStride,
            RankStride = input.Rows * output.RowStride,
            SlotBytes = plan.SlotBytes,
        };
        parameters.Group.RowBytes = (int)input.RowBytes;
        parameters.Group.OutputStride = output.RowStride;
        bool leavesOut = plan.Way == GatherWay.Pull && _planner.LeavesOut(input.Rows);
        ExpertParameters experts = leavesOut ? ExpertParameters.Of(arguments.Experts, Rank, Count) : default;
        for (int first = 0; first < input.Rows; first += plan.LaunchRows)
        {
            parameters.Group.Rows = Math.Min(plan.LaunchRows, input.Rows - first);
            parameters.Group.Partial = input.RowAddress(first);
            parameters.Group.Output = output.RowAddress(first);
            parameters.Group.Experts = experts.From(first);
            _kernels.Gather(plan.Way, _planner.GatherBlocks(plan, parameters.Group.Rows), arguments.Stream, in parameters);
        }
    }

    private void Launch(ReductionPlan plan, int rows, int spread, in ExpertParameters experts, in MoeAddNorm addNorm, in MoeTensorView output, nint stream)
    {
        GroupParameters parameters = _template;
        parameters.Spread = spread;
        parameters.Ahead = plan.Ahead;
        parameters.Take(addNorm, output);
        for (int first = 0; first < rows; first += plan.LaunchRows)
        {
            parameters.Rows = Math.Min(plan.LaunchRows, rows - first);
            parameters.PartialOffset = _template.PartialOffset + ((long)first * _template.RowBytes);
            parameters.Partial = checked((nint)(_memory.Shared + parameters.PartialOffset));
            parameters.Output = output.RowAddress(first);
            parameters.Experts = experts.From(first);
            parameters.Residual = addNorm.Residual.IsEmpty ? 0 : addNorm.Residual.RowAddress(first);
            parameters.ResidualOut = addNorm.ResidualOutput.IsEmpty ? 0 : addNorm.ResidualOutput.RowAddress(first);
            _kernels.Reduce(plan.Way, _planner.Blocks(plan, parameters.Rows), stream, in parameters);
        }
    }
}
