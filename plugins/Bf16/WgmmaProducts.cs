using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Bf16;

/// <summary>The products for many tokens an expert on sm_90a: <c>prefill.cu</c>.</summary>
internal sealed class WgmmaProducts : IExpertProducts
{
    /// <summary>Compute capability that the kernels are for, and no other: 9.0.</summary>
    public const int ArchitectureNumber = 90;

    /// <summary><c>kSharedBytes</c> of <c>prefill.cu</c>.</summary>
    private const int SharedBytes = 205904;
    private const int Threads = 512;

    /// <summary>Boxes of a copy, in elements: 64 inputs are the 128 bytes of a swizzled row, 192 weight rows a tile, 32 tokens.</summary>
    private const int DepthBox = 64;
    private const int RowBox = 192;
    private const int TokenBox = 32;

    private readonly RoutingKernels _routing;
    private readonly MoeLayerShape _shape;
    private readonly ActivationConstants _activation;
    private readonly CudaFunction _product1;
    private readonly CudaFunction _product2;
    private readonly int _multiprocessors;

    public WgmmaProducts(KernelLibrary library, RoutingKernels routing, MoeLayerShape shape)
    {
        _routing = routing;
        _shape = shape;
        _activation = ActivationConstants.Of(shape.Activation);
        _multiprocessors = library.Context.Device.MultiprocessorCount;
        _product1 = library.Get(Unit, "moe_bf16_prefill_product1", SharedBytes);
        _product2 = library.Get(Unit, "moe_bf16_prefill_product2", SharedBytes);
    }

    public static KernelUnit Unit { get; } = new("prefill.cu");

    // The kernels make their own tiles from the experts' offsets.
    public int BlockRows(int tokens) => RowBox;

    public PartialLayout Run(in ExpertRows rows, Bf16Weights weights, Bf16Workspace workspace, nint stream)
    {
        CudaLaunchConfig launch = _routing.Launch(_multiprocessors, Threads, SharedBytes);
        CudaTensorMap act = ActMap(workspace);
        var parameters = new GroupedParameters
        {
            Weight = GateUpMap(weights.GateUp),
            Act = act,
            X = rows.Address,
            Bias = weights.GateUp.Bias,
            Out = workspace.Act,
            ExpertOffsets = workspace.Routing.ExpertOffsets,
            SortedPairs = workspace.Routing.SortedPairs,
            XStride = rows.Stride,
            OutStride = _shape.IntermediateSize,
            Rows = weights.GateUp.Rows,
            Depth = weights.GateUp.Inputs,
            TopK = _shape.TopK,
            Experts = _shape.ExpertCount,
            Alpha = _activation.Alpha,
            Limit = _activation.Limit,
            UpBias = _activation.UpBias,
        };
        _product1.Launch(launch, stream, in parameters);

        parameters.Weight = DownMap(weights.Down);
        parameters.X = 0;
        parameters.Bias = 0;
        parameters.Out = workspace.Partial;
        parameters.XStride = 0;
        parameters.OutStride = _shape.HiddenSize;
        parameters.Rows = weights.Down.Rows;
        parameters.Depth = weights.Down.Inputs;
        _product2.Launch(launch, stream, in parameters);
        return new PartialLayout(1, IsBf16: true);
    }

    /// <summary>
    /// [experts, rows, inputs] seen as [experts, rows / 16, gate or up, 8, inputs]: the copy parts gates from ups, so that both of a
    /// neuron come out in one thread.
    /// </summary>
    private CudaTensorMap GateUpMap(Bf16Matrix matrix)
    {
        ulong row = (ulong)matrix.Inputs * sizeof(ushort);
        return CudaTensorMap.Tiled(
            CudaTensorMapDataType.BFloat16,
            matrix.Weight,
            [(ulong)matrix.Inputs, 8, 2, (ulong)matrix.Rows / 16, (ulong)_shape.ExpertCount],
            [2 * row, row, 16 * row, (ulong)matrix.Rows * row],
            [DepthBox, 8, 2, RowBox / 16, 1],
            CudaTensorMapSwizzle.Swizzle128B);
    }

    private CudaTensorMap DownMap(Bf16Matrix matrix)
    {
        ulong row = (ulong)matrix.Inputs * sizeof(ushort);
        return CudaTensorMap.Tiled(
            CudaTensorMapDataType.BFloat16,
            matrix.Weight,
            [(ulong)matrix.Inputs, (ulong)matrix.Rows, (ulong)_shape.ExpertCount],
            [row, (ulong)matrix.Rows * row],
            [DepthBox, RowBox, 1],
            CudaTensorMapSwizzle.Swizzle128B);
    }

    private CudaTensorMap ActMap(Bf16Workspace workspace) => CudaTensorMap.Tiled(
        CudaTensorMapDataType.BFloat16,
        workspace.Act,
        [(ulong)_shape.IntermediateSize, (ulong)workspace.MaxPairs],
        [(ulong)_shape.IntermediateSize * sizeof(ushort)],
        [DepthBox, TokenBox],
        CudaTensorMapSwizzle.Swizzle128B);
}
