using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>
/// The forward pass of any CUDA backend's layer: router, sort, the experts' products between latent projections where there are some, the shared
/// experts' products, combine. Allocates nothing.
/// </summary>
internal sealed class CudaLayer
{
    private readonly RoutingKernels _routing;
    private readonly Bf16Projection? _projection;
    private readonly Bf16SharedExpert? _sharedOfFew;
    private readonly MoeLayerShape _shape;
    private readonly bool _weighsInput;

    /// <summary>Gets the kernels. The context must be current.</summary>
    /// <param name="library">The backend's kernels.</param>
    /// <param name="shape">The layer's shape.</param>
    /// <param name="experts">The routed experts, of <see cref="LayerNetworks.ExpertsOf"/>.</param>
    /// <param name="shared">The shared experts, of <see cref="LayerNetworks.SharedOf"/>; null where there are none.</param>
    public CudaLayer(KernelLibrary library, MoeLayerShape shape, CudaExperts experts, CudaExperts? shared)
    {
        Library = library;
        Experts = experts;
        Shared = shared;
        if (shared is not null)
        {
            experts.HasCompany = shared.HasCompany = true;
            if (shared is Bf16Experts && !LayerNetworks.WeighsInput(shape))
            {
                experts.MakeRoomFor(LayerNetworks.SharedOf(shape));
            }
        }

        _shape = shape;
        _routing = new RoutingKernels(library, shape.Router);
        _projection = shape.Latent is null ? null : new Bf16Projection(library);
        _sharedOfFew = shared is Bf16Experts ? new Bf16SharedExpert(library, LayerNetworks.SharedOf(shape)) : null;
        _weighsInput = LayerNetworks.WeighsInput(shape);
    }

    public KernelLibrary Library { get; }

    public CudaExperts Experts { get; }

    public CudaExperts? Shared { get; }

    /// <summary>Enqueues a batch of at least one token. The context must be current.</summary>
    /// <exception cref="MoeException">The layer has no router, and the caller hands in no choice.</exception>
    public void Forward(LayerWeights weights, LayerWorkspace workspace, in MoeForwardArguments arguments)
    {
        nint stream = arguments.Stream;
        ExpertRows x = _routing.Rows(arguments.RouterInput, workspace.Router, stream);
        bool inStream = Shared is not null && Experts.TakesShared(x.Tokens);
        bool fewShared = !inStream && _sharedOfFew?.Runs(x.Tokens) == true;
        bool fewLatent = _projection is not null && Bf16Projection.IsFew(_shape, x.Tokens) && (Shared is null || fewShared || inStream);
        PartialLayout? shared = Shared is null ? null
            : inStream ? new PartialLayout(1, IsBf16: false)
            : RunShared(weights, workspace, x, fewShared, stream);
        var routing = new RoutingCall(arguments.TopKIds, arguments.TopKWeights, arguments.TokenIds, arguments.Routing, stream);
        (nint ids, nint topKWeights) = Route(routing, weights.Router, workspace, x, inStream ? workspace.SharedStored : 0);
        ExpertRows rows = x;
        if (fewLatent)
        {
            _projection!.RunDown(x, weights.LatentDown!, workspace.LatentRows, stream);
            rows = new ExpertRows(workspace.LatentRows, _shape.ExpertHiddenSize, x.Tokens);
        }
        else if (_projection is not null)
        {
            rows = Narrow(weights, workspace, x, stream);
        }
        else if (RoutingKernels.ReadsInPlace(arguments.Input))
        {
            rows = new ExpertRows(arguments.Input.Address, arguments.Input.RowStride / sizeof(ushort), x.Tokens);
        }

        if (_weighsInput)
        {
            rows = _routing.WeighRows(rows, topKWeights, _shape.TopK, _shape.ExpertHiddenSize, workspace.WeighedRows, stream);
        }

        PartialLayout partial = inStream
            ? Experts.RunWithShared(rows, weights.Experts, workspace.Experts, StreamOf(weights, workspace, x), stream)
            : Experts.Run(rows, weights.Experts, workspace.Experts, stream);
        RoutingKernels.CombineParameters sum = Sum(weights, workspace, partial, x.Tokens);
        sum.Ids = ids;
        sum.Weights = _weighsInput ? workspace.Ones : topKWeights;
        if (_projection is not null)
        {
            rows = SumLatent(weights, workspace, sum, stream);
            sum = fewLatent ? default : Widen(weights, workspace, rows, stream);
        }

        MoeTensorView output = arguments.Output;
        sum.Out = output.Address;
        sum.OutStride = output.RowStride / output.ElementType.ByteSize();
        sum.OutIsFloat = output.ElementType == MoeElementType.Float32 ? 1 : 0;
        var both = new RoutingKernels.SharedCombineParameters { Routed = sum };
        if (shared is { } own)
        {
            if (!inStream)
            {
                workspace.Side!.End(stream);
            }

            both = AddShared(weights, workspace, own, sum, x.Tokens);
        }

        if (fewLatent)
        {
            _projection!.RunUp(rows, weights.LatentUp!, both, hasJoined: shared is not null && !inStream, stream);
        }
        else if (shared is not null)
        {
            _routing.CombineShared(both, hasJoined: !inStream, stream);
        }
        else
        {
            _routing.Combine(sum, stream);
        }
    }

    /// <summary>Enqueues the router for a batch of at least one token. The context must be current.</summary>
    public void Route(LayerWeights weights, LayerWorkspace workspace, in MoeRouteArguments arguments)
    {
        ExpertRows x = _routing.Rows(arguments.Input, workspace.Router, arguments.Stream);
        var routing = new RoutingCall(arguments.TopKIds, arguments.TopKWeights, arguments.TokenIds, MoeRoutingSource.Router, arguments.Stream);
        Route(routing, weights.Router, workspace, x, earlyCounter: 0);
    }

    private static bool IsDense(in MoeTensorView view) => view.RowStride == view.RowBytes;

    private static void Copy(nint target, long targetStride, in MoeTensorView like, nint source, long sourceStride, nint stream) =>
        CudaMemory.Copy2D(target, targetStride, source, sourceStride, like.RowBytes, like.Rows, stream);

    /// <summary>The shared experts as the routed experts' launch takes them in.</summary>
    private SharedOfStream StreamOf(LayerWeights weights, LayerWorkspace workspace, in ExpertRows x) => new(
        x,
        (Bf16Weights)weights.Shared!,
        weights.SharedCodes,
        weights.SharedGate,
        workspace.SharedOpened,
        (Bf16Workspace)workspace.Shared!,
        ActivationConstants.Of(_shape.Shared!.Activation),
        workspace.SharedStored);

    private (nint Ids, nint Weights) Route(
        in RoutingCall call, RouterTensors? router, LayerWorkspace workspace, in ExpertRows x, nint earlyCounter)
    {
        MoeTensorView ids = call.Ids;
        MoeTensorView topKWeights = call.Weights;
        bool inPlace = !ids.IsEmpty && IsDense(ids) && IsDense(topKWeights);
        (nint idAddress, nint weightAddress) = inPlace ? (ids.Address, topKWeights.Address) : (workspace.Router.Ids, workspace.Router.Weights);
        RoutingBuffers order = workspace.Experts.Routing;
        int blockRows = Experts.BlockRows(_weighsInput ? x.Tokens * _shape.TopK : x.Tokens);
        if (call.Source == MoeRoutingSource.Caller)
        {
            if (!inPlace)
            {
                Copy(idAddress, ids.RowBytes, ids, ids.Address, ids.RowStride, call.Stream);
                Copy(weightAddress, topKWeights.RowBytes, topKWeights, topKWeights.Address, topKWeights.RowStride, call.Stream);
            }

            _routing.Sort(idAddress, x.Tokens * _shape.TopK, order, blockRows, earlyCounter, call.Stream);
            return (idAddress, weightAddress);
        }

        if (router is null)
        {
            throw new MoeException(MoeReason.Checkpoint, "The layer was loaded without a router, so the caller must route.");
        }

        _routing.Route(x, router, call.TokenIds, _shape, workspace.Router, order, idAddress, weightAddress, blockRows, earlyCounter, call.Stream);
        if (!inPlace && !ids.IsEmpty)
        {
            Copy(ids.Address, ids.RowStride, ids, idAddress, ids.RowBytes, call.Stream);
            Copy(topKWeights.Address, topKWeights.RowStride, topKWeights, weightAddress, topKWeights.RowBytes, call.Stream);
        }

        return (idAddress, weightAddress);
    }

    /// <summary>The sum of the experts' results, but for ids, weights and where it goes.</summary>
    private RoutingKernels.CombineParameters Sum(LayerWeights weights, LayerWorkspace workspace, PartialLayout partial, int tokens) => new()
    {
        Partial = workspace.Experts.PartialResults,
        Bias = partial.HasBias ? 0 : weights.Experts.OutputBias,
        PartialStride = _shape.ExpertHiddenSize,
        SplitStride = (long)tokens * _shape.TopK * _shape.ExpertHiddenSize,
        Tokens = tokens,
        Hidden = _shape.ExpertHiddenSize,
        TopK = _shape.TopK,
        Splits = partial.Splits,
        Experts = _shape.LocalExpertCount,
        FirstExpert = _shape.FirstExpert,
        PartialIsBf16 = partial.IsBf16 ? 1 : 0,
    };

    /// <summary>The sum of a projection's partial results, but for where it goes.</summary>
    private static RoutingKernels.CombineParameters SumProjected(LayerWorkspace workspace, PartialLayout partial, int tokens, int outputs) => new()
    {
        Partial = workspace.Projected,
        Ids = workspace.NoIds,
        Weights = workspace.Ones,
        PartialStride = outputs,
        SplitStride = (long)tokens * outputs,
        Tokens = tokens,
        Hidden = outputs,
        TopK = 1,
        Splits = partial.Splits,
        Experts = 1,
        PartialIsBf16 = partial.IsBf16 ? 1 : 0,
    };

    /// <summary>From the hidden size to the latent width.</summary>
    private ExpertRows Narrow(LayerWeights weights, LayerWorkspace workspace, in ExpertRows x, nint stream)
    {
        RoutingBuffers order = workspace.Projection!;
        int width = _shape.ExpertHiddenSize;
        _routing.Sort(workspace.NoIds, x.Tokens, order, _projection!.BlockRows(x.Tokens), earlyCounter: 0, stream);
        PartialLayout partial = _projection.Run(x, weights.LatentDown!, order, workspace.Projected, stream);
        RoutingKernels.CombineParameters sum = SumProjected(workspace, partial, x.Tokens, width);
        sum.Out = workspace.LatentRows;
        sum.OutStride = width;
        _routing.Combine(sum, stream);
        return new ExpertRows(workspace.LatentRows, width, x.Tokens);
    }

    /// <summary>The experts' sums in the latent width, after the norm where there is one.</summary>
    private ExpertRows SumLatent(LayerWeights weights, LayerWorkspace workspace, in RoutingKernels.CombineParameters latent, nint stream)
    {
        int width = _shape.ExpertHiddenSize;
        int tokens = latent.Tokens;
        bool hasNorm = weights.LatentNorm != 0;
        RoutingKernels.CombineParameters sum = latent;
        sum.Out = hasNorm ? workspace.LatentSums : workspace.LatentRows;
        sum.OutStride = width;
        sum.OutIsFloat = hasNorm ? 1 : 0;
        _routing.Combine(sum, stream);
        return hasNorm
            ? _routing.NormRows(
                workspace.LatentSums, weights.LatentNorm, _shape.Latent!.NormEpsilon!.Value, tokens, width, workspace.LatentRows, stream)
            : new ExpertRows(workspace.LatentRows, width, tokens);
    }

    /// <summary>From the latent width to the hidden size, but for where that goes.</summary>
    private RoutingKernels.CombineParameters Widen(LayerWeights weights, LayerWorkspace workspace, in ExpertRows rows, nint stream)
    {
        PartialLayout partial = _projection!.Run(rows, weights.LatentUp!, workspace.Projection!, workspace.Projected, stream);
        return SumProjected(workspace, partial, rows.Tokens, _shape.HiddenSize);
    }

    /// <summary>Runs the shared experts on a stream of their own, beside everything until the sum.</summary>
    private PartialLayout RunShared(LayerWeights weights, LayerWorkspace workspace, in ExpertRows x, bool few, nint stream)
    {
        nint side = workspace.Side!.Handle;
        CudaWorkspace own = workspace.Shared!;
        workspace.Side.Begin(stream);
        if (few)
        {
            return _sharedOfFew!.Run(
                x,
                (Bf16Weights)weights.Shared!,
                weights.SharedCodes,
                weights.SharedGate,
                workspace.SharedOpened,
                (Bf16Workspace)own,
                workspace.SharedCounters,
                side);
        }

        _routing.SortFirst(workspace.NoIds, x.Tokens, own.Routing, Shared!.BlockRows(x.Tokens), side);
        if (weights.SharedGate != 0)
        {
            _routing.OpenSharedGate(x, weights.SharedGate, _shape.HiddenSize, workspace.SharedOpened, side);
        }

        return Shared.Run(x, weights.Shared!, own, side);
    }

    /// <summary>Adds the shared experts' results to a sum.</summary>
    private RoutingKernels.SharedCombineParameters AddShared(
        LayerWeights weights, LayerWorkspace workspace, PartialLayout partial, in RoutingKernels.CombineParameters sum, int tokens) => new()
        {
            Routed = sum,
            Partial = workspace.Shared!.PartialResults,
            Opened = weights.SharedGate != 0 ? workspace.SharedOpened : 0,
            SplitStride = (long)tokens * _shape.HiddenSize,
            Splits = partial.Splits,
            PartialIsBf16 = partial.IsBf16 ? 1 : 0,
        };

    /// <summary>What routing reads and writes, within a forward or without one.</summary>
    /// <param name="Ids">Expert ids, [tokens, top-k]: read where the caller routes, else written, or empty.</param>
    /// <param name="Weights">Weights of those experts; empty exactly when the ids are.</param>
    /// <param name="TokenIds">The tokens' ids in the vocabulary, where the router asks for them.</param>
    /// <param name="Source">Who routes.</param>
    /// <param name="Stream">The stream to enqueue on.</param>
    private readonly record struct RoutingCall(MoeTensorView Ids, MoeTensorView Weights, MoeTensorView TokenIds, MoeRoutingSource Source, nint Stream);
}
