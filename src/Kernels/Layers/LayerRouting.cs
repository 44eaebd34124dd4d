using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>What a forward of any CUDA backend does before and after its experts' products. Allocates nothing.</summary>
/// <param name="library">The backend's kernels.</param>
/// <param name="shape">The layer's shape.</param>
public sealed class LayerRouting(KernelLibrary library, MoeLayerShape shape)
{
    /// <summary>The kernels.</summary>
    public RoutingKernels Kernels { get; } = new(library);

    /// <summary>Enqueues the router, or takes the caller's choice, and sorts by expert.</summary>
    /// <param name="arguments">The forward's arguments; at least one token.</param>
    /// <param name="router">The layer's router; null where the caller must route.</param>
    /// <param name="buffers">The workspace's buffers.</param>
    /// <param name="blockRows">Rows of a row block that the products want; 0 for none.</param>
    /// <exception cref="MoeException">The layer has no router, and the caller hands in no choice.</exception>
    public RoutedBatch Begin(in MoeForwardArguments arguments, RouterTensors? router, RoutingBuffers buffers, int blockRows)
    {
        ArgumentNullException.ThrowIfNull(buffers);
        (nint x, long stride) = Kernels.Rows(arguments.RouterInput, buffers, arguments.Stream);
        ExpertRows rows = RoutingKernels.ReadsInPlace(arguments.Input)
            ? new ExpertRows(arguments.Input.Address, arguments.Input.RowStride / sizeof(ushort), arguments.Input.Rows)
            : new ExpertRows(x, stride, arguments.Input.Rows);
        (nint ids, nint weights) = Route(arguments, router, buffers, x, stride, blockRows);
        return new RoutedBatch(rows, ids, weights);
    }

    /// <summary>Enqueues the weighted sum of the partial results, with the second product's bias.</summary>
    /// <param name="arguments">The forward's arguments.</param>
    /// <param name="batch">What <see cref="Begin"/> returned.</param>
    /// <param name="partial">The partial results.</param>
    /// <param name="layout">How they lie.</param>
    /// <param name="bias">[experts, hidden] float32, or 0.</param>
    public void End(in MoeForwardArguments arguments, in RoutedBatch batch, nint partial, PartialLayout layout, nint bias)
    {
        MoeTensorView output = arguments.Output;
        int tokens = batch.Rows.Tokens;
        Kernels.Combine(
            new CombineParameters
            {
                Partial = partial,
                Ids = batch.Ids,
                Weights = batch.Weights,
                Bias = layout.HasBias ? 0 : bias,
                Out = output.Address,
                PartialStride = shape.HiddenSize,
                SplitStride = (long)tokens * shape.TopK * shape.HiddenSize,
                OutStride = output.RowStride / output.ElementType.ByteSize(),
                Tokens = tokens,
                Hidden = shape.HiddenSize,
                TopK = shape.TopK,
                Splits = layout.Splits,
                Experts = shape.ExpertCount,
                PartialIsBf16 = layout.IsBf16 ? 1 : 0,
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

            Kernels.Sort(idAddress, arguments.Input.Rows * shape.TopK, shape.ExpertCount, buffers, blockRows, arguments.Stream);
            return (idAddress, weightAddress);
        }

        if (router is null)
        {
            throw new MoeException(MoeReason.Checkpoint, "The layer was loaded without a router, so the caller must route.");
        }

        Kernels.Route(x, stride, arguments.Input.Rows, router, shape, buffers, idAddress, weightAddress, blockRows, arguments.Stream);
        if (!inPlace && !ids.IsEmpty)
        {
            Copy(ids.Address, ids.RowStride, ids, idAddress, ids.RowBytes, arguments.Stream);
            Copy(topKWeights.Address, topKWeights.RowStride, topKWeights, weightAddress, topKWeights.RowBytes, arguments.Stream);
        }

        return (idAddress, weightAddress);
    }
}
