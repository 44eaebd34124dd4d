namespace Moe.Plugins;

/// <summary>
/// Brings the tokens of all ranks to this one, with what is known of their routing: then a group may leave out those that have no expert here. What travels
/// is as wide as the model, whatever the method pads; it arrives in the first columns of buffers that are as wide as what the method reads, so that the host
/// need not pad again.
/// </summary>
internal sealed class TokenDispatch : IDisposable
{
    private readonly IMoeCommunicator _communicator;
    private readonly IMoeMemory _memory;
    private readonly int _hiddenSize;
    private readonly List<MoeBuffer> _owned = [];
    private readonly MoeTensorView _input;
    private readonly MoeTensorView _topKIds;
    private readonly MoeTensorView _topKWeights;
    private readonly MoeTensorView _tokenIds;
    private readonly MoeTensorView _ownIds;
    private readonly MoeTensorView _ownWeights;
    private readonly MoeLayerShape _shape;
    private readonly bool _leavesOut;

    /// <param name="communicator">This rank's.</param>
    /// <param name="config">The layer's.</param>
    /// <param name="memory">Its device's.</param>
    /// <param name="leavesOut">Whether there are no shared experts, on any rank: those want every token.</param>
    /// <param name="routes">Whether the rank's own tokens can be routed before they are sent.</param>
    /// <exception cref="MoeException">The device is out of memory or failed.</exception>
    public TokenDispatch(IMoeCommunicator communicator, MoeLayerConfig config, IMoeMemory memory, bool leavesOut, bool routes)
    {
        _shape = config.Shape;
        _leavesOut = leavesOut && config.Shape.Part.ExpertCount > 1;
        _communicator = communicator;
        _memory = memory;
        _hiddenSize = config.Shape.HiddenSize;
        try
        {
            MoeBuffer input = Allocate(config.Options.InputType, config.InputWidth);
            if (config.HostPadsInput)
            {
                // Zeroed once: what is gathered is written to the model's columns only.
                input.Clear();
            }

            _input = input.View;
            _topKIds = Allocate(MoeElementType.Int32, config.Shape.TopK).View;
            _topKWeights = Allocate(MoeElementType.Float32, config.Shape.TopK).View;
            if (routes && _leavesOut)
            {
                _ownIds = Allocate(MoeElementType.Int32, config.Shape.TopK, config.Options.MaxTokens).View;
                _ownWeights = Allocate(MoeElementType.Float32, config.Shape.TopK, config.Options.MaxTokens).View;
            }

            if (config.Shape.Router.Choice == MoeRouterChoice.TokenTable)
            {
                _tokenIds = Allocate(MoeElementType.Int32, 1).View;
            }
        }
        catch
        {
            Fault.Ignore(Dispose);
            throw;
        }

        MoeBuffer Allocate(MoeElementType type, int columns, int? rows = null)
        {
            var buffer = new MoeBuffer(memory, type, rows ?? config.MaxTokens, columns);
            _owned.Add(buffer);
            return buffer;
        }
    }

    public long ByteCount => _owned.Sum(buffer => buffer.ByteCount);

    /// <summary>All ranks' tokens as the method reads them, of a call that <see cref="Gather"/> made.</summary>
    public MoeTensorView Input(int rows) => _input.FirstRows(rows);

    /// <summary>Routes this rank's tokens before they are sent, where that pays: then it is as if the caller had.</summary>
    public MoeLayerCall RouteFirst(in MoeLayerCall call, IMoeWorkspace workspace)
    {
        int rows = call.Input.Rows;
        if (call.Routing == MoeRoutingSource.Caller || _ownIds.IsEmpty || rows == 0
            || !_communicator.GainsByRouting(rows, _shape.TopK, _shape.Part.TensorCount))
        {
            return call;
        }

        MoeTensorView ids = call.TopKIds.IsEmpty ? _ownIds.FirstRows(rows) : call.TopKIds;
        MoeTensorView weights = call.TopKIds.IsEmpty ? _ownWeights.FirstRows(rows) : call.TopKWeights;
        workspace.Route(new MoeRouteArguments
        {
            Input = call.Input,
            TopKIds = ids,
            TopKWeights = weights,
            TokenIds = call.TokenIds,
            Stream = call.Stream,
        });
        return call with { Routing = MoeRoutingSource.Caller, TopKIds = ids, TopKWeights = weights };
    }

    /// <summary>What an exchange of the tokens of a call that <see cref="Gather"/> made may go by; nothing where every row goes everywhere.</summary>
    public MoeTokenExperts ExpertsOf(in MoeLayerCall all) => _leavesOut && all.Routing == MoeRoutingSource.Caller && all.Input.Rows > 0
        ? new MoeTokenExperts { Ids = all.TopKIds, ExpertCount = _shape.ExpertCount, TensorCount = _shape.Part.TensorCount }
        : default;

    /// <summary>The call of all ranks' tokens that this rank's call is a part of; its output is still this rank's.</summary>
    public MoeLayerCall Gather(in MoeLayerCall call)
    {
        // Ranks that bring none wait for no rows: the reduction tells whether the others did the same.
        if (call.Input.Rows == 0)
        {
            return call;
        }

        bool callerRoutes = call.Routing == MoeRoutingSource.Caller;
        nint stream = call.Stream;
        MoeTensorView input = _input.FirstColumns(_hiddenSize);

        // Ids first: by them rows are left out.
        MoeLayerCall all = call with
        {
            Input = All(call.Input, input),
            TopKIds = callerRoutes ? GatherRows(call.TopKIds, _topKIds, stream) : All(call.TopKIds, _topKIds),
            TopKWeights = callerRoutes ? GatherRows(call.TopKWeights, _topKWeights, stream) : All(call.TopKWeights, _topKWeights),
            TokenIds = callerRoutes || _tokenIds.IsEmpty ? default : GatherRows(call.TokenIds, _tokenIds, stream),
        };
        GatherRows(call.Input, input, stream, ExpertsOf(all));
        return all;
    }

    /// <summary>Gives the caller the ids and weights that the router chose for this rank's tokens, if it asked for them.</summary>
    public void ReturnRouting(in MoeLayerCall call)
    {
        if (call.Routing == MoeRoutingSource.Router && !call.TopKIds.IsEmpty)
        {
            Return(_topKIds, call.TopKIds, call.Stream);
            Return(_topKWeights, call.TopKWeights, call.Stream);
        }
    }

    public void Dispose() => _owned.ForEach(buffer => buffer.Dispose());

    private MoeTensorView GatherRows(in MoeTensorView own, in MoeTensorView all, nint stream, in MoeTokenExperts experts = default)
    {
        MoeTensorView output = All(own, all);
        _communicator.AllGather(new MoeGatherArguments { Input = own, Output = output, Experts = experts, Stream = stream });
        return output;
    }

    private MoeTensorView All(in MoeTensorView own, in MoeTensorView all) => own.IsEmpty ? default : all.FirstRows(_communicator.Count * own.Rows);

    private void Return(in MoeTensorView all, in MoeTensorView own, nint stream) => _memory.Copy2D(
        own.Address, own.RowStride, all.RowAddress(_communicator.Rank * own.Rows), all.RowStride, own.RowBytes, own.Rows, stream);
}
