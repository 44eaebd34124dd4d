using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;

namespace Moe.Plugins.Sm100;

/// <summary>The gather and both products of <c>mxfp4_fp8.cu</c>.</summary>
internal sealed class Fp8Products
{
    private const int GatherThreads = 256;
    private const int RowsPerBlock = GatherThreads / 32;
    private const int GatherBlocksPerMultiprocessor = 8;

    private readonly KernelLibrary _library;
    private readonly MoeLayerShape _shape;
    private readonly ActivationConstants _activation;
    private readonly int _multiprocessors;
    private readonly CudaFunction _gather;
    private readonly CudaFunction _product1;
    private readonly CudaFunction _product2;

    public Fp8Products(KernelLibrary library, MoeLayerShape shape)
    {
        _library = library;
        _shape = shape;
        _activation = ActivationConstants.Of(shape.Activation);
        _multiprocessors = library.Context.Device.MultiprocessorCount;
        _gather = library.Get(GatherUnit, "moe_gather_e4m3", besideProducts: true);
        _product1 = library.Get(Fp8Tile.Only.Unit, Fp8Tile.Only.FirstEntry, Fp8Tile.Only.SharedBytes);
        _product2 = library.Get(Fp8Tile.Only.Unit, Fp8Tile.Only.SecondEntry, Fp8Tile.Only.SharedBytes);
    }

    /// <summary>The source of the gather.</summary>
    public static KernelUnit GatherUnit { get; } = new("gather_e4m3.cu");

    /// <summary>Enqueues them.</summary>
    /// <param name="rows">MXFP8 rows.</param>
    /// <param name="weights">The weights.</param>
    /// <param name="workspace">The buffers.</param>
    /// <param name="stream">The stream.</param>
    public PartialLayout Run(in ExpertRows rows, Fp8Weights weights, Fp8Workspace workspace, nint stream)
    {
        int pairs = rows.Tokens * _shape.TopK;
        RoutingBuffers routing = workspace.Routing;
        Fp8Rows gathered = workspace.GatheredFp8, act = workspace.ActFp8;
        var gather = new GatherParameters
        {
            Codes = rows.Address,
            Scales = rows.Scales,
            Out = gathered.Codes,
            OutScales = gathered.Scales,
            SortedPairs = routing.SortedPairs,
            ExpertOffsets = routing.ExpertOffsets,
            Stride = (int)rows.Stride,
            Columns = _shape.HiddenSize,
            TopK = _shape.TopK,
            Experts = _shape.LocalExpertCount,
        };
        int blocks = Math.Min((pairs + RowsPerBlock - 1) / RowsPerBlock, GatherBlocksPerMultiprocessor * _multiprocessors);
        _gather.Launch(_library.Launch(blocks, GatherThreads), stream, in gather);

        CudaLaunchConfig launch = _library.Launch(_multiprocessors, Fp8Tile.Only.Threads, Fp8Tile.Only.SharedBytes);
        Parameters first = Common(weights.GateUp, gathered, routing);
        first.RowScales = gathered.Scales;
        first.Out = act.Codes;
        first.OutScales = act.Scales;
        first.ScaleStride = act.ScaleStride;
        first.OutStride = _shape.IntermediateSize;
        _product1.Launch(launch, stream, in first);
        Parameters second = Common(weights.Down, act, routing);
        second.Scales = act.Scales;
        second.ScaleStride = act.ScaleStride;
        second.Out = workspace.PartialResults;
        second.OutStride = _shape.HiddenSize;
        _product2.Launch(launch, stream, in second);
        return new PartialLayout(1, IsBf16: true, HasBias: true);
    }

    private Parameters Common(Fp8Matrix weights, in Fp8Rows rows, RoutingBuffers routing) => new()
    {
        Weight = weights.Stage,
        Wide = rows.Wide,
        Narrow = rows.Narrow,
        Bias = weights.Matrix.Bias,
        Factor = weights.Factors,
        Largest = weights.Largest,
        IsSplit = weights.IsSplit,
        ExpertOffsets = routing.ExpertOffsets,
        SortedPairs = routing.SortedPairs,
        Counters = routing.ProductCounters,
        Rows = weights.Matrix.Rows,
        Depth = weights.Matrix.Depth,
        Experts = _shape.LocalExpertCount,
        Activation = _activation,
    };

    /// <summary>As in <c>mxfp4_fp8.cu</c>. Its size is a multiple of its alignment, 64.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 576)]
    private struct Parameters
    {
        public CudaTensorMap Weight;
        public CudaTensorMap Wide;
        public CudaTensorMap Narrow;
        public nint Bias;
        public nint RowScales;
        public nint Scales;
        public nint Factor;
        public nint Largest;
        public nint IsSplit;
        public nint Out;
        public nint OutScales;
        public nint ExpertOffsets;
        public nint SortedPairs;
        public nint Counters;
        public long OutStride;
        public long ScaleStride;
        public int Rows;
        public int Depth;
        public int Experts;
        public ActivationConstants Activation;
    }

    /// <summary>As in <c>gather_e4m3.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct GatherParameters
    {
        public nint Codes;
        public nint Scales;
        public nint Out;
        public nint OutScales;
        public nint SortedPairs;
        public nint ExpertOffsets;
        public int Stride;
        public int Columns;
        public int TopK;
        public int Experts;
    }
}
