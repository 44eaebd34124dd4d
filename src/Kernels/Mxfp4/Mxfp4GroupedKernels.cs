using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The products for many tokens an expert on sm_90a: <c>mxfp4_prefill.cu</c>.</summary>
internal sealed class Mxfp4GroupedKernels
{
    /// <summary>Compute capability that the kernels are for, and no other: 9.0.</summary>
    public const int ArchitectureNumber = 90;

    private const int Threads = 384;

    private readonly RoutingKernels _routing;
    private readonly RowGather _gather;
    private readonly MoeLayerShape _shape;
    private readonly ActivationConstants _activation;
    private readonly CudaFunction _product1;
    private readonly CudaFunction _product2;
    private readonly int _multiprocessors;
    private readonly int _sharedBytes;

    public Mxfp4GroupedKernels(KernelLibrary library, RoutingKernels routing, RowGather gather, MoeLayerShape shape, int tokens)
    {
        _routing = routing;
        _gather = gather;
        _shape = shape;
        _activation = ActivationConstants.Of(shape.Activation);
        _multiprocessors = library.Context.Device.MultiprocessorCount;
        (_, _sharedBytes) = Stages(tokens);
        _product1 = library.Get(Unit(tokens), $"moe_mxfp4_product1_n{tokens}", _sharedBytes);
        _product2 = library.Get(Unit(tokens), $"moe_mxfp4_product2_n{tokens}", _sharedBytes);
    }

    public static KernelUnit Unit(int tokens)
    {
        (int stages, int sharedBytes) = Stages(tokens);
        return new KernelUnit("mxfp4_prefill.cu", $"MOE_TOKENS={tokens}", $"MOE_STAGES={stages}", $"MOE_SHARED_BYTES={sharedBytes}");
    }

    public PartialLayout Run(in ExpertRows rows, Mxfp4Weights weights, Mxfp4Workspace workspace, nint stream)
    {
        // The partial results of the second product take the gathered rows' place, which nobody reads any more by then.
        _gather.Run(rows, _shape, workspace.Routing, workspace.Partial, stream);
        CudaLaunchConfig launch = _routing.Launch(_multiprocessors, Threads, _sharedBytes);
        var parameters = new Mxfp4GroupedParameters
        {
            Weight = weights.GateUp.TileMap,
            Wide = workspace.Gathered.Wide,
            Narrow = workspace.Gathered.Narrow,
            Bias = weights.GateUp.Bias,
            Factor = weights.GateUp.Factors,
            Out = workspace.Act,
            ExpertOffsets = workspace.Routing.ExpertOffsets,
            SortedPairs = workspace.Routing.SortedPairs,
            OutStride = _shape.IntermediateSize,
            Rows = weights.GateUp.Rows,
            Depth = weights.GateUp.Depth,
            Experts = _shape.ExpertCount,
            Alpha = _activation.Alpha,
            Limit = _activation.Limit,
            UpBias = _activation.UpBias,
        };
        _product1.Launch(launch, stream, in parameters);

        parameters.Weight = weights.Down.TileMap;
        parameters.Wide = workspace.ActRows.Wide;
        parameters.Narrow = workspace.ActRows.Narrow;
        parameters.Bias = 0;
        parameters.Factor = weights.Down.Factors;
        parameters.Out = workspace.Partial;
        parameters.OutStride = _shape.HiddenSize;
        parameters.Rows = weights.Down.Rows;
        parameters.Depth = weights.Down.Depth;
        _product2.Launch(launch, stream, in parameters);
        return new PartialLayout(1, IsBf16: true);
    }

    /// <summary>Stages, and <c>kSharedBytes</c> of the kernel: as many weights in flight as fit beside the tokens.</summary>
    private static (int Stages, int SharedBytes) Stages(int tokens) => tokens == 64 ? (12, 216288) : (8, 214176);
}
