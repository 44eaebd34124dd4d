using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Bf16;

/// <summary>The products for many tokens an expert on sm_90a: <c>prefill.cu</c>.</summary>
internal sealed class WgmmaProducts : IExpertProducts
{
    /// <summary><c>kSharedBytes</c> of <c>prefill.cu</c>.</summary>
    private const int SharedBytes = 205520;
    private const int Threads = 512;

    private readonly RoutingKernels _routing;
    private readonly RowGather _gather;
    private readonly MoeLayerShape _shape;
    private readonly ActivationConstants _activation;
    private readonly CudaFunction _product1;
    private readonly CudaFunction _product2;
    private readonly int _multiprocessors;

    public WgmmaProducts(KernelLibrary library, RoutingKernels routing, MoeLayerShape shape)
    {
        _routing = routing;
        _gather = new RowGather(library, routing);
        _shape = shape;
        _activation = ActivationConstants.Of(shape.Activation);
        _multiprocessors = library.Context.Device.MultiprocessorCount;
        _product1 = library.Get(Unit, "moe_bf16_prefill_product1", SharedBytes);
        _product2 = library.Get(Unit, "moe_bf16_prefill_product2", SharedBytes);
    }

    /// <summary>Every source.</summary>
    public static IEnumerable<KernelUnit> Units => [Unit, RowGather.Unit];

    private static KernelUnit Unit { get; } = new("prefill.cu");

    /// <summary>Whether the kernels are for an architecture: 9.0, and no other.</summary>
    public static bool RunOn(CudaArchitecture architecture) => architecture is { Major: 9, Minor: 0 };

    /// <summary>Whether they are for a device.</summary>
    public static bool RunOn(CudaDevice device) => RunOn(device.Architecture);

    // The kernels make their own tiles from the experts' offsets.
    public int BlockRows(int tokens) => 0;

    public PartialLayout Run(in ExpertRows rows, Bf16Weights weights, Bf16Workspace workspace, nint stream)
    {
        _gather.Run(rows, _shape, workspace.Routing, workspace.Gathered, stream);
        CudaLaunchConfig launch = _routing.Launch(_multiprocessors, Threads, SharedBytes);
        var parameters = new GroupedParameters
        {
            Weight = weights.GateUpTiles,
            Tokens = workspace.GatheredRows,
            Bias = weights.GateUp.Bias,
            Out = workspace.Act,
            ExpertOffsets = workspace.Routing.ExpertOffsets,
            SortedPairs = workspace.Routing.SortedPairs,
            Counters = workspace.Routing.ProductCounters,
            OutStride = _shape.IntermediateSize,
            Rows = weights.GateUp.Rows,
            Depth = weights.GateUp.Inputs,
            Experts = _shape.ExpertCount,
            Alpha = _activation.Alpha,
            Limit = _activation.Limit,
            UpBias = _activation.UpBias,
        };
        _product1.Launch(launch, stream, in parameters);

        parameters.Weight = weights.DownTiles;
        parameters.Tokens = workspace.ActRows;
        parameters.Bias = weights.Down.Bias;
        parameters.Out = workspace.Partial;
        parameters.OutStride = _shape.HiddenSize;
        parameters.Rows = weights.Down.Rows;
        parameters.Depth = weights.Down.Inputs;
        _product2.Launch(launch, stream, in parameters);
        return new PartialLayout(1, IsBf16: true, HasBias: true);
    }
}
