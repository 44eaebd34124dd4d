using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Bf16;

/// <summary>The kernels of one layer on one device: loaded when the first weights or workspace need them.</summary>
internal sealed class Bf16Engine
{
    private readonly RoutingKernels _routing;
    private readonly DecodeProducts _decode;
    private readonly IExpertProducts _prefill;
    private readonly MoeLayerShape _shape;

    public Bf16Engine(KernelLibrary library, MoeLayerShape shape)
    {
        Library = library;
        _shape = shape;
        using CudaContextScope scope = library.Context.MakeCurrent();
        _routing = new RoutingKernels(library, shape.ExpertCount);
        _decode = new DecodeProducts(library, _routing, shape);
        _prefill = library.Context.Device.Architecture.Number == WgmmaProducts.ArchitectureNumber
            ? new WgmmaProducts(library, _routing, shape)
            : new MmaProducts(library, _routing, shape);
    }

    public KernelLibrary Library { get; }

    /// <summary>Every source that the backend compiles for an architecture.</summary>
    public static IEnumerable<KernelUnit> Units(CudaArchitecture architecture) =>
    [
        .. RoutingKernels.Units,
        WeightLoader.Unit,
        CudaInstruments.Unit,
        .. DecodeVariant.For(DecodeVariant.SharedBytesOf(architecture)).Select(variant => variant.Unit),
        architecture.Number == WgmmaProducts.ArchitectureNumber ? WgmmaProducts.Unit : MmaProducts.Unit,
    ];

    /// <summary>Enqueues one batch.</summary>
    public void Forward(in MoeForwardArguments arguments)
    {
        int tokens = arguments.Input.Rows;
        if (tokens == 0)
        {
            return;
        }

        var weights = (Bf16Weights)arguments.Weights;
        var workspace = (Bf16Workspace)arguments.Workspace;
        using CudaContextScope scope = Library.Context.MakeCurrent();
        IExpertProducts products = ForwardPlan.IsPrefill(tokens, _shape) ? _prefill : _decode;
        (nint x, long stride) = _routing.Rows(arguments.Input, workspace.Routing, arguments.Stream);
        (nint ids, nint topKWeights) = Route(arguments, weights, workspace, x, stride, products.BlockRows(tokens));
        PartialLayout partial = products.Run(new ExpertRows(x, stride, tokens), weights, workspace, arguments.Stream);
        MoeTensorView output = arguments.Output;
        _routing.Combine(
            new CombineParameters
            {
                Partial = workspace.Partial,
                Ids = ids,
                Weights = topKWeights,
                Bias = weights.Down.Bias,
                Out = output.Address,
                PartialStride = _shape.HiddenSize,
                SplitStride = (long)tokens * _shape.TopK * _shape.HiddenSize,
                OutStride = output.RowStride / output.ElementType.ByteSize(),
                Hidden = _shape.HiddenSize,
                TopK = _shape.TopK,
                Splits = partial.Splits,
                Experts = _shape.ExpertCount,
                PartialIsBf16 = partial.IsBf16 ? 1 : 0,
                OutIsFloat = output.ElementType == MoeElementType.Float32 ? 1 : 0,
            },
            tokens,
            arguments.Stream);
    }

    private static bool IsDense(in MoeTensorView view) => view.RowStride == view.RowBytes;

    private static void Copy(nint target, long targetStride, in MoeTensorView like, nint source, long sourceStride, nint stream) =>
        CudaMemory.Copy2D(target, targetStride, source, sourceStride, like.RowBytes, like.Rows, stream);

    private (nint Ids, nint Weights) Route(
        in MoeForwardArguments arguments, Bf16Weights weights, Bf16Workspace workspace, nint x, long stride, int blockRows)
    {
        MoeTensorView ids = arguments.TopKIds;
        MoeTensorView topKWeights = arguments.TopKWeights;
        RoutingBuffers buffers = workspace.Routing;
        bool inPlace = !ids.IsEmpty && IsDense(ids) && IsDense(topKWeights);
        (nint idAddress, nint weightAddress) = inPlace ? (ids.Address, topKWeights.Address) : (buffers.Ids, buffers.Weights);
        if (arguments.Routing == MoeRoutingSource.Caller)
        {
            if (!inPlace)
            {
                Copy(idAddress, ids.RowBytes, ids, ids.Address, ids.RowStride, arguments.Stream);
                Copy(weightAddress, topKWeights.RowBytes, topKWeights, topKWeights.Address, topKWeights.RowStride, arguments.Stream);
            }

            _routing.Sort(idAddress, arguments.Input.Rows * _shape.TopK, _shape.ExpertCount, buffers, blockRows, arguments.Stream);
            return (idAddress, weightAddress);
        }

        RouterTensors router = weights.Router
            ?? throw new MoeException(MoeReason.Checkpoint, "The layer was loaded without a router, so the caller must route.");
        _routing.Route(x, stride, arguments.Input.Rows, router, _shape, buffers, idAddress, weightAddress, blockRows, arguments.Stream);
        if (!inPlace && !ids.IsEmpty)
        {
            Copy(ids.Address, ids.RowStride, ids, idAddress, ids.RowBytes, arguments.Stream);
            Copy(topKWeights.Address, topKWeights.RowStride, topKWeights, weightAddress, topKWeights.RowBytes, arguments.Stream);
        }

        return (idAddress, weightAddress);
    }
}
