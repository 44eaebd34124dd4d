using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The products on sm_90a: <c>mxfp4_prefill.cu</c>.</summary>
internal sealed class Mxfp4GroupedKernels
{
    /// <summary>Compute capability that the kernels are for, and no other: 9.0.</summary>
    public const int ArchitectureNumber = 90;

    private readonly RoutingKernels _routing;
    private readonly IRowGather _gather;
    private readonly MoeLayerShape _shape;
    private readonly ActivationConstants _activation;
    private readonly CudaFunction _product1;
    private readonly CudaFunction _product2;
    private readonly int _multiprocessors;
    private readonly Mxfp4GroupedTile _tile;
    private readonly Mxfp4Variant _variant;

    public Mxfp4GroupedKernels(
        KernelLibrary library, RoutingKernels routing, IRowGather gather, MoeLayerShape shape, Mxfp4Variant variant, Mxfp4Activations activations)
    {
        _routing = routing;
        _gather = gather;
        _shape = shape;
        _activation = ActivationConstants.Of(shape.Activation);
        _multiprocessors = library.Context.Device.MultiprocessorCount;
        _variant = variant;
        _tile = Mxfp4GroupedTile.Of(variant);
        KernelUnit unit = _tile.Unit(activations);
        _product1 = library.Get(unit, $"moe_mxfp4_product1_n{variant.Tokens}", _tile.SharedBytes);
        _product2 = library.Get(unit, $"moe_mxfp4_product2_n{variant.Tokens}", _tile.SharedBytes);
    }

    public PartialLayout Run(in ExpertRows rows, Mxfp4Weights weights, Mxfp4Workspace workspace, nint stream)
    {
        // The partial results of the second product take the gathered rows' place, which nobody reads any more by then.
        _gather.Run(rows, _shape, workspace.Routing, workspace.Partial, stream);
        CudaLaunchConfig launch = _routing.Launch(_tile.Blocks * _multiprocessors, _tile.Threads, _tile.SharedBytes);
        var parameters = new Mxfp4GroupedParameters
        {
            Weight = weights.GateUp.TileMap(_variant),
            Wide = workspace.Gathered.Wide,
            Narrow = workspace.Gathered.Narrow,
            Bias = weights.GateUp.Bias,
            Factor = weights.GateUp.Factors,
            Out = workspace.Act,
            ExpertOffsets = workspace.Routing.ExpertOffsets,
            SortedPairs = workspace.Routing.SortedPairs,
            Tickets = workspace.Routing.TileTickets,
            OutStride = _shape.IntermediateSize,
            Rows = weights.GateUp.Rows,
            Depth = weights.GateUp.Depth,
            Experts = _shape.ExpertCount,
            Alpha = _activation.Alpha,
            Limit = _activation.Limit,
            UpBias = _activation.UpBias,
        };
        _product1.Launch(launch, stream, in parameters);

        parameters.Weight = weights.Down.TileMap(_variant);
        parameters.Wide = workspace.ActRows.Wide;
        parameters.Narrow = workspace.ActRows.Narrow;
        parameters.Bias = weights.Down.Bias;
        parameters.Factor = weights.Down.Factors;
        parameters.Out = workspace.Partial;
        parameters.OutStride = _shape.HiddenSize;
        parameters.Rows = weights.Down.Rows;
        parameters.Depth = weights.Down.Depth;
        _product2.Launch(launch, stream, in parameters);
        return new PartialLayout(1, IsBf16: true, HasBias: true);
    }
}
