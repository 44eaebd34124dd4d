using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Bf16;

/// <summary>The products for many tokens an expert on devices without wgmma: <c>prefill_mma.cu</c>.</summary>
internal sealed class MmaProducts : IExpertProducts
{
    private const int SharedBytes = 65536;
    private const int Threads = 256;
    private const int TileTokens = 128;
    private const int BlocksPerMultiprocessor = 2;

    private readonly RoutingKernels _routing;
    private readonly MoeLayerShape _shape;
    private readonly ActivationConstants _activation;
    private readonly CudaFunction _product1;
    private readonly CudaFunction _product2;
    private readonly int _multiprocessors;

    public MmaProducts(KernelLibrary library, RoutingKernels routing, MoeLayerShape shape)
    {
        _routing = routing;
        _shape = shape;
        _activation = ActivationConstants.Of(shape.Activation);
        _multiprocessors = library.Context.Device.MultiprocessorCount;
        _product1 = library.Get(Unit, "moe_bf16_prefill_mma_product1", SharedBytes);
        _product2 = library.Get(Unit, "moe_bf16_prefill_mma_product2", SharedBytes);
    }

    public static KernelUnit Unit { get; } = new("prefill_mma.cu");

    public int BlockRows(int tokens) => TileTokens;

    public PartialLayout Run(in ExpertRows rows, Bf16Weights weights, Bf16Workspace workspace, nint stream)
    {
        CudaLaunchConfig launch = _routing.Launch(BlocksPerMultiprocessor * _multiprocessors, Threads, SharedBytes);
        var parameters = new MmaParameters
        {
            Weight = weights.GateUp.Weight,
            X = rows.Address,
            Bias = weights.GateUp.Bias,
            Out = workspace.Act,
            SortedPairs = workspace.Routing.SortedPairs,
            RowBlocks = workspace.Routing.RowBlocks,
            RowBlockCount = workspace.Routing.RowBlockCount,
            XStride = rows.Stride,
            OutStride = _shape.IntermediateSize,
            Rows = weights.GateUp.Rows,
            Depth = weights.GateUp.Inputs,
            TopK = _shape.TopK,
            Alpha = _activation.Alpha,
            Limit = _activation.Limit,
            UpBias = _activation.UpBias,
        };
        _product1.Launch(launch, stream, in parameters);

        parameters.Weight = weights.Down.Weight;
        parameters.X = workspace.Act;
        parameters.Bias = 0;
        parameters.Out = workspace.Partial;
        parameters.XStride = _shape.IntermediateSize;
        parameters.OutStride = _shape.HiddenSize;
        parameters.Rows = weights.Down.Rows;
        parameters.Depth = weights.Down.Inputs;
        _product2.Launch(launch, stream, in parameters);
        return new PartialLayout(1, IsBf16: true);
    }
}
