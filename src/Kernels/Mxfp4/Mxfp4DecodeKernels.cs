using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The products for few tokens an expert: <c>mxfp4_decode.cu</c>.</summary>
internal sealed class Mxfp4DecodeKernels
{
    private readonly RoutingKernels _routing;
    private readonly MoeLayerShape _shape;
    private readonly ActivationConstants _activation;
    private readonly Mxfp4DecodeLayout _layout;
    private readonly CudaFunction _kernel;
    private readonly int _multiprocessors;

    public Mxfp4DecodeKernels(KernelLibrary library, RoutingKernels routing, MoeLayerShape shape, int tokens, Mxfp4Activations activations)
    {
        CudaDevice device = library.Context.Device;
        _routing = routing;
        _shape = shape;
        _activation = ActivationConstants.Of(shape.Activation);
        _multiprocessors = device.MultiprocessorCount;
        _layout = Mxfp4DecodeLayout.For(tokens, shape, device.MaxSharedBytesPerBlock, activations)
            ?? throw new InvalidOperationException("The plan chose kernels that do not fit.");
        _kernel = library.Get(Unit(tokens, activations), $"moe_mxfp4_decode_n{tokens}", _layout.SharedBytes);
    }

    public static KernelUnit Unit(int tokens, Mxfp4Activations activations) =>
        new("mxfp4_decode.cu", [$"MOE_TOKENS={tokens}", .. Mxfp4Macros.Of(activations)]);

    public PartialLayout Run(in ExpertRows rows, Mxfp4Weights weights, Mxfp4Workspace workspace, nint stream)
    {
        int pairs = rows.Tokens * _shape.TopK;
        int splits = Mxfp4Plan.Splits(pairs);
        var parameters = new Mxfp4DecodeParameters
        {
            GateUp = weights.GateUp.PieceMap(splits: 1),
            Down = weights.Down.PieceMap(splits),
            GateUpFactor = weights.GateUp.Factors,
            DownFactor = weights.Down.Factors,
            Bias = weights.GateUp.Bias,
            X = rows.Address,
            Act = workspace.Act,
            Out = workspace.Partial,
            SortedPairs = workspace.Routing.SortedPairs,
            RowBlocks = workspace.Routing.RowBlocks,
            RowBlockCount = workspace.Routing.RowBlockCount,
            Counters = workspace.Counters,
            XStride = rows.Stride,
            SplitStride = (long)pairs * _shape.HiddenSize,
            Hidden = _shape.HiddenSize,
            Intermediate = _shape.IntermediateSize,
            TopK = _shape.TopK,
            Splits = splits,
            GateUpPiece = Mxfp4DecodeLayout.PieceSteps(_shape.HiddenSize, splits: 1),
            DownPiece = Mxfp4DecodeLayout.PieceSteps(_shape.IntermediateSize, splits),
            Slots = _layout.Slots,
            SlotBytes = _layout.SlotBytes,
            TokenBytes = _layout.TokenBytes,
            Alpha = _activation.Alpha,
            Limit = _activation.Limit,
            UpBias = _activation.UpBias,
        };
        _kernel.Launch(_routing.Launch(_multiprocessors, Mxfp4DecodeLayout.Threads, _layout.SharedBytes), stream, in parameters);
        return new PartialLayout(splits, IsBf16: false);
    }
}
