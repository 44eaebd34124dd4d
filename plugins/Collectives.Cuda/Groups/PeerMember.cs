using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Collectives;

/// <summary>One rank's end of a group of devices.</summary>
internal sealed class PeerMember : IMoeCommunicator
{
    private readonly PeerGroup _group;
    private readonly RankMemory _memory;
    private readonly ReductionKernels _kernels;
    private readonly MoePartialBuffer _lent;
    private ReductionPlanner _planner = null!;
    private GroupParameters _template;
    private int _isBusy;

    /// <summary>Makes the end of a rank that has memory; it can do nothing before <see cref="Connect"/>.</summary>
    public PeerMember(PeerGroup group, int rank, RankMemory memory, ReductionKernels kernels, IMoeMemory deviceMemory, nint partial)
    {
        _group = group;
        _memory = memory;
        _kernels = kernels;
        Rank = rank;
        Memory = deviceMemory;
        _lent = new MoePartialBuffer(new MoeTensorView(partial, Device, Request.ElementType, Request.MaxTokens, Request.Width));
    }

    public int Rank { get; }

    public int Count => Request.Devices.Count;

    public MoeDevice Device => Request.Devices[Rank];

    public IMoeMemory Memory { get; }

    public MoeException? Failure => _group.Failure;

    public MoeGroupRequest Request => _group.Request;

    public CudaContext Context => _kernels.Context;

    /// <summary>Tells the rank where the others' memory is.</summary>
    /// <param name="planner">The group's.</param>
    /// <param name="addresses">Each rank's memory that all reach.</param>
    /// <param name="layout">What is where in it.</param>
    /// <param name="shape">How a block shares a row.</param>
    /// <param name="mayOverlap">
    /// Whether the next launch may begin while a kernel waits. Not where ranks share a device: what begins could take the place of the kernel that is
    /// waited for.
    /// </param>
    public unsafe void Connect(ReductionPlanner planner, ReadOnlySpan<long> addresses, GroupLayout layout, RowShape shape, bool mayOverlap)
    {
        _planner = planner;
        _template = new GroupParameters
        {
            State = _memory.State,
            Host = _group.WordsOf(Rank),
            Patience = (ulong)(Request.Timeout.TotalMilliseconds * 1e6),
            SetBytes = layout.SetBytes,
            FlagsOffset = layout.FlagsOffset,
            Rank = Rank,
            Ranks = Count,
            RowBytes = shape.RowBytes,
            InverseWidth = 1f / Request.Width,
            MayOverlap = mayOverlap ? 1 : 0,
            PartialOffset = layout.PartialOffset,
        };
        for (int rank = 0; rank < addresses.Length; rank++)
        {
            _template.Memory[rank] = addresses[rank];
        }
    }

    public MoePartial LendPartial(int rows)
    {
        _group.ThrowIfEnded();
        return _lent.Lend(rows);
    }

    public void AllReduce(MoeReduceArguments arguments)
    {
        _group.ThrowIfEnded();
        var call = MoeGroupCall.AllReduce(this, _lent, arguments);
        Reduce(call, arguments.Partial, default, arguments.Output, arguments.Stream);
    }

    public void ReduceAddNorm(MoeReduceAddNormArguments arguments)
    {
        _group.ThrowIfEnded();
        var call = MoeGroupCall.ReduceAddNorm(this, _lent, arguments);
        Reduce(call, arguments.Partial, arguments.AddNorm, arguments.Output, arguments.Stream);
    }

    public void ReduceScatter(MoeReduceArguments arguments)
    {
        _group.ThrowIfEnded();
        var call = MoeGroupCall.ReduceScatter(this, _lent, arguments);
        Reduce(call, arguments.Partial, default, arguments.Output, arguments.Stream);
    }

    public void AllGather(MoeGatherArguments arguments)
    {
        _group.ThrowIfEnded();
        var call = MoeGroupCall.AllGather(this, _lent, arguments);
        Enter(call);
        try
        {
            using CudaContextScope scope = Context.MakeCurrent();
            Gather(arguments);
        }
        catch (CudaException exception)
        {
            throw Failed(exception);
        }
        finally
        {
            Leave();
        }
    }

    public void Abort(string why) => _group.Abort(Rank, why);

    /// <summary>For the group's trial: sums the part that was written, one way.</summary>
    public void Try(ReductionWay way, int rows, nint output, nint stream)
    {
        using CudaContextScope scope = Context.MakeCurrent();
        var view = new MoeTensorView(output, Device, Request.ElementType, rows, Request.Width);
        Launch(_planner.For(way, rows), rows, 0, default, view, stream);
    }

    /// <summary>Where the rank's part of the sums is.</summary>
    public nint Partial => checked((nint)(_memory.Shared + _template.PartialOffset));

    public void Free() => _memory.Dispose();

    private void Reduce(in MoeGroupCall call, in MoePartial partial, in MoeAddNorm addNorm, in MoeTensorView output, nint stream)
    {
        partial.Take();
        Enter(call);
        try
        {
            using CudaContextScope scope = Context.MakeCurrent();
            if (call.Kind == MoeGroupCallKind.ReduceScatter)
            {
                int rows = call.Rows / Count;
                Launch(_planner.ForScatter(rows), rows, rows, default, output, stream);
            }
            else
            {
                Launch(_planner.ForRows(call.Rows), call.Rows, 0, addNorm, output, stream);
            }
        }
        catch (CudaException exception)
        {
            throw Failed(exception);
        }
        finally
        {
            Leave();
        }
    }

    private void Enter(in MoeGroupCall call)
    {
        if (Interlocked.Exchange(ref _isBusy, 1) != 0)
        {
            throw new InvalidOperationException($"Another thread is making a call of rank {Rank}. A rank makes one call at a time.");
        }

        try
        {
            _group.Begin(Rank, call);
        }
        catch
        {
            Leave();
            throw;
        }
    }

    private void Leave() => Volatile.Write(ref _isBusy, 0);

    // The other ranks may be waiting already.
    private MoeException Failed(CudaException exception)
    {
        Abort(exception.Message);
        return CudaFault.Explain(exception);
    }

    private void Launch(ReductionPlan plan, int rows, int spread, in MoeAddNorm addNorm, in MoeTensorView output, nint stream)
    {
        GroupParameters parameters = _template;
        parameters.Spread = spread;
        parameters.Ahead = plan.Ahead;
        parameters.Epsilon = addNorm.Epsilon;
        parameters.Weight = addNorm.NormWeight.Address;
        parameters.WeightIsFloat = addNorm.NormWeight.ElementType == MoeElementType.Float32 ? 1 : 0;
        parameters.ResidualStride = addNorm.Residual.RowStride;
        parameters.ResidualOutStride = addNorm.ResidualOutput.RowStride;
        parameters.OutputStride = output.RowStride;
        for (int first = 0; first < rows; first += plan.LaunchRows)
        {
            parameters.Rows = Math.Min(plan.LaunchRows, rows - first);
            parameters.PartialOffset = _template.PartialOffset + ((long)first * _template.RowBytes);
            parameters.Partial = checked((nint)(_memory.Shared + parameters.PartialOffset));
            parameters.Output = output.RowAddress(first);
            parameters.Residual = addNorm.Residual.IsEmpty ? 0 : addNorm.Residual.RowAddress(first);
            parameters.ResidualOut = addNorm.ResidualOutput.IsEmpty ? 0 : addNorm.ResidualOutput.RowAddress(first);
            _kernels.Reduce(plan.Way, _planner.Blocks(plan, parameters.Rows), stream, in parameters);
        }
    }

    private void Gather(in MoeGatherArguments arguments)
    {
        MoeTensorView input = arguments.Input;
        MoeTensorView output = arguments.Output;
        ReductionPlan plan = _planner.ForGather(input.Rows);
        var parameters = new GatherParameters
        {
            Group = _template,
            InputStride = input.RowStride,
            RankStride = input.Rows * output.RowStride,
            SlotBytes = _template.RowBytes,
        };
        parameters.Group.RowBytes = (int)input.RowBytes;
        parameters.Group.OutputStride = output.RowStride;
        for (int first = 0; first < input.Rows; first += plan.LaunchRows)
        {
            parameters.Group.Rows = Math.Min(plan.LaunchRows, input.Rows - first);
            parameters.Group.Partial = input.RowAddress(first);
            parameters.Group.Output = output.RowAddress(first);
            _kernels.Gather(_planner.Blocks(plan, parameters.Group.Rows), stream: arguments.Stream, in parameters);
        }
    }
}
