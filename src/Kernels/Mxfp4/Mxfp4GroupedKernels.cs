using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The products on sm_90a: <c>mxfp4_grouped.cuh</c>.</summary>
internal sealed class Mxfp4GroupedKernels
{
    /// <summary>
    /// Parts of the second product's inner dimension that few pairs may be divided into, so that all multiprocessors have a tile.
    /// </summary>
    private const int MostParts = 2;
    internal const int MostPairsInParts = 64;

    private readonly KernelLibrary _library;
    private readonly RowGather _gather;
    private readonly MoeLayerShape _shape;
    private readonly ActivationConstants _activation;
    private readonly CudaFunction _product1;
    private readonly CudaFunction _product2;
    private readonly int _multiprocessors;
    private readonly Mxfp4GroupedTile _tile;
    private readonly Mxfp4Variant _variant;

    public Mxfp4GroupedKernels(
        KernelLibrary library, RowGather gather, MoeLayerShape shape, Mxfp4Variant variant, Mxfp4Activations activations, Mxfp4Dealing dealing)
    {
        _library = library;
        _gather = gather;
        _shape = shape;
        _activation = ActivationConstants.Of(shape.Activation);
        _multiprocessors = library.Context.Device.MultiprocessorCount;
        _variant = variant;
        _tile = Mxfp4GroupedTile.Of(variant, Mxfp4GroupedTile.ActivationOf(shape));
        _product1 = Get(_tile.First(activations, dealing));
        _product2 = Get(_tile.Second(dealing));

        CudaFunction Get(KernelUnit unit) => library.Get(unit, unit.Instances[0], _tile.SharedBytes);
    }

    /// <summary>The most rows of partial results, up to so many pairs.</summary>
    public static long MaxPartialRows(long maxPairs) => Math.Max(maxPairs, MostParts * Math.Min(maxPairs, MostPairsInParts));

    public PartialLayout Run(in ExpertRows rows, Mxfp4Weights weights, Mxfp4Workspace workspace, nint stream)
    {
        CudaLaunchConfig launch = _library.Launch(_tile.Blocks * _multiprocessors, _tile.Threads, _tile.SharedBytes);
        Parameters first = Common(weights.GateUp, workspace);
        first.Wide = workspace.Gathered.Wide;
        first.Narrow = workspace.Gathered.Narrow;
        first.Out = workspace.Act;
        first.OutStride = _shape.IntermediateSize;
        Parameters second = Common(weights.Down, workspace);
        second.Wide = workspace.ActRows.Wide;
        second.Narrow = workspace.ActRows.Narrow;
        second.Out = workspace.PartialResults;
        second.OutStride = _shape.HiddenSize;
        int pairs = rows.Tokens * _shape.TopK;
        second.Parts = Parts(pairs, weights.Down);
        second.PartStride = (long)pairs * _shape.HiddenSize;
        _gather.Run(rows, _shape, workspace.Routing, workspace.GatheredRows, stream);
        _product1.Launch(launch, stream, in first);
        _product2.Launch(launch, stream, in second);
        return new PartialLayout(second.Parts, IsBf16: true, HasBias: true);
    }

    private Parameters Common(Mxfp4Matrix matrix, Mxfp4Workspace workspace) => new()
    {
        Weight = matrix.TileMap(_variant),
        Bias = matrix.Bias,
        Factor = matrix.Factors,
        ExpertOffsets = workspace.Routing.ExpertOffsets,
        SortedPairs = workspace.Routing.SortedPairs,
        Counters = workspace.Routing.ProductCounters,
        Rows = matrix.Rows,
        Depth = matrix.Depth,
        Experts = _shape.LocalExpertCount,
        Activation = _activation,
    };

    private int Parts(int pairs, Mxfp4Matrix down)
    {
        if (pairs > MostPairsInParts)
        {
            return 1;
        }

        bool hasTwoStages = down.Depth > _tile.Steps * Mxfp4Layout.GroupDepth;
        // In two parts, tiles may end evenly where whole ones don't: what counts is rounds of all blocks, of half the length then.
        double experts = _shape.LocalExpertCount * (1 - Math.Pow(1 - (1.0 / _shape.ExpertCount), pairs));
        double rounds = experts * ((down.Rows + _tile.Rows - 1) / _tile.Rows) / (_tile.Blocks * _multiprocessors);
        return hasTwoStages && Math.Ceiling(2 * rounds) / 2 < Math.Ceiling(rounds) ? MostParts : 1;
    }

    /// <summary>As in <c>mxfp4_grouped.cuh</c>. Its size is a multiple of its alignment, 64.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 512)]
    private struct Parameters
    {
        public CudaTensorMap Weight;
        public CudaTensorMap Wide;
        public CudaTensorMap Narrow;
        public nint Bias;
        public nint Factor;
        public nint Out;
        public nint ExpertOffsets;
        public nint SortedPairs;
        public nint Counters;
        public long OutStride;
        public long PartStride;
        public int Parts;
        public int Rows;
        public int Depth;
        public int Experts;
        public ActivationConstants Activation;
    }
}
