using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The forward pass of any CUDA backend's layer: router, sort, the experts' products, combine. Allocates nothing.</summary>
internal sealed class CudaLayer(KernelLibrary library, MoeLayerShape shape, CudaExperts experts)
{
    private readonly RoutingKernels _routing = new(library);

    public KernelLibrary Library => library;

    public CudaExperts Experts => experts;

    /// <summary>Enqueues a batch of at least one token. The context must be current.</summary>
    /// <exception cref="MoeException">The layer has no router, and the caller hands in no choice.</exception>
    public void Forward(CudaWeights weights, CudaWorkspace workspace, in MoeForwardArguments arguments)
    {
        MoeTensorView input = arguments.Input;
        (nint x, long stride) = _routing.Rows(arguments.RouterInput, workspace.Routing, arguments.Stream);
        ExpertRows rows = RoutingKernels.ReadsInPlace(input)
            ? new ExpertRows(input.Address, input.RowStride / sizeof(ushort), input.Rows)
            : new ExpertRows(x, stride, input.Rows);
        (nint ids, nint topKWeights) = Route(arguments, weights.Router, workspace.Routing, x, stride, experts.BlockRows(input.Rows));
        PartialLayout partial = experts.Run(rows, weights, workspace, arguments.Stream);
        MoeTensorView output = arguments.Output;
        _routing.Combine(
            new RoutingKernels.CombineParameters
            {
                Partial = workspace.PartialResults,
                Ids = ids,
                Weights = topKWeights,
                Bias = partial.HasBias ? 0 : weights.OutputBias,
                Out = output.Address,
                PartialStride = shape.HiddenSize,
                SplitStride = (long)input.Rows * shape.TopK * shape.HiddenSize,
                OutStride = output.RowStride / output.ElementType.ByteSize(),
                Tokens = input.Rows,
                Hidden = shape.HiddenSize,
                TopK = shape.TopK,
                Splits = partial.Splits,
                Experts = shape.LocalExpertCount,
                FirstExpert = shape.FirstExpert,
                PartialIsBf16 = partial.IsBf16 ? 1 : 0,
                OutIsFloat = output.ElementType == MoeElementType.Float32 ? 1 : 0,
            },
            arguments.Stream);
    }

    private static bool IsDense(in MoeTensorView view) => view.RowStride == view.RowBytes;

    private static void Copy(nint target, long targetStride, in MoeTensorView like, nint source, long sourceStride, nint stream) =>
        CudaMemory.Copy2D(target, targetStride, source, sourceStride, like.RowBytes, like.Rows, stream);

    private (nint Ids, nint Weights) Route(
        in MoeForwardArguments arguments, RouterTensors? router, RoutingBuffers buffers, nint x, long stride, int blockRows)
    {
        MoeTensorView ids = arguments.TopKIds;
        MoeTensorView topKWeights = arguments.TopKWeights;
        bool inPlace = !ids.IsEmpty && IsDense(ids) && IsDense(topKWeights);
        (nint idAddress, nint weightAddress) = inPlace ? (ids.Address, topKWeights.Address) : (buffers.Ids, buffers.Weights);
        if (arguments.Routing == MoeRoutingSource.Caller)
        {
            if (!inPlace)
            {
                Copy(idAddress, ids.RowBytes, ids, ids.Address, ids.RowStride, arguments.Stream);
                Copy(weightAddress, topKWeights.RowBytes, topKWeights, topKWeights.Address, topKWeights.RowStride, arguments.Stream);
            }

            _routing.Sort(idAddress, arguments.Input.Rows * shape.TopK, buffers, blockRows, arguments.Stream);
            return (idAddress, weightAddress);
        }

        if (router is null)
        {
            throw new MoeException(MoeReason.Checkpoint, "The layer was loaded without a router, so the caller must route.");
        }

        _routing.Route(
            x, stride, arguments.Input.Rows, router, arguments.TokenIds, shape, buffers, idAddress, weightAddress, blockRows, arguments.Stream);
        if (!inPlace && !ids.IsEmpty)
        {
            Copy(ids.Address, ids.RowStride, ids, idAddress, ids.RowBytes, arguments.Stream);
            Copy(topKWeights.Address, topKWeights.RowStride, topKWeights, weightAddress, topKWeights.RowBytes, arguments.Stream);
        }

        return (idAddress, weightAddress);
    }
}
