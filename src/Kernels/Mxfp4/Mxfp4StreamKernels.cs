using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Both products of few tokens as one stream of weights, on sm_90a: <c>mxfp4_stream.cuh</c>.</summary>
internal sealed class Mxfp4StreamKernels
{
    /// <summary>Warpgroups that multiply; one more loads.</summary>
    private const int Groups = 4;
    private const int Threads = 128 * (Groups + 1);

    /// <summary>Steps of 64 inputs of a stage.</summary>
    private const int StageSteps = 8;

    /// <summary>The most experts: what the kernel's table has room for.</summary>
    private const int MostExperts = 512;

    /// <summary>What a multiplying thread may have of registers, when the loading ones have given theirs back.</summary>
    private const int GroupRegisters = 104;

    private readonly KernelLibrary _library;
    private readonly MoeLayerShape _shape;
    private readonly ActivationConstants _activation;
    private readonly CudaFunction _products;

    public Mxfp4StreamKernels(KernelLibrary library, MoeLayerShape shape, Mxfp4Activations activations, Mxfp4Dealing dealing)
    {
        _library = library;
        _shape = shape;
        _activation = ActivationConstants.Of(shape.Activation);
        KernelUnit unit = Unit(activations, dealing);
        _products = library.Get(unit, unit.Instances[0], Room.SharedBytes);
    }

    /// <summary>The source.</summary>
    public static KernelUnit Unit(Mxfp4Activations activations, Mxfp4Dealing dealing) => new(
        activations == Mxfp4Activations.Mxfp8 ? "mxfp4_stream_mxfp8.cu" : "mxfp4_stream.cu",
        $"moe_mxfp4_stream<{Room.Stages}, {GroupRegisters}, {Room.SharedBytes}, {Mxfp4GroupedTile.Rounding(activations)}{(dealing == Mxfp4Dealing.E4M3 ? ", DealtForE4m3" : "")}>");

    /// <summary>Whether the kernel has a layer: its activation, its sizes.</summary>
    public static bool Runs(MoeLayerShape shape) =>
        ActivationConstants.TypeOf(shape.Activation) == ActivationConstants.Silu && shape.LocalExpertCount <= MostExperts
        && shape.ExpertHiddenSize % Mxfp4Layout.GroupDepth == 0 && shape.IntermediateSize % Mxfp4Layout.GroupDepth == 0;

    /// <param name="rows">BF16 rows, rounded already where activations are.</param>
    /// <param name="weights">The weights.</param>
    /// <param name="workspace">The buffers.</param>
    /// <param name="stream">The stream.</param>
    public PartialLayout Run(in ExpertRows rows, Mxfp4Weights weights, Mxfp4Workspace workspace, nint stream)
    {
        int pairs = rows.Tokens * _shape.TopK;
        var parameters = new Parameters
        {
            Tokens = Boxes(rows, _shape.HiddenSize, rows.Tokens),
            Act = Boxes(new ExpertRows(workspace.Act, _shape.IntermediateSize, pairs), _shape.IntermediateSize, rows.Tokens),
            First = Product.Of(weights.GateUp, workspace.Act, _shape.IntermediateSize),
            Second = Product.Of(weights.Down, workspace.PartialResults, _shape.HiddenSize),
            EarlyOffsets = workspace.Routing.EarlyOffsets,
            SortedPairs = workspace.Routing.SortedPairs,
            Counters = workspace.Routing.ProductCounters,
            Ticket = workspace.Ticket,
            Experts = _shape.LocalExpertCount,
            TopK = _shape.TopK,
            Columns = rows.Tokens,
            Activation = _activation,
        };
        CudaLaunchConfig launch = _library.Launch(_library.Context.Device.MultiprocessorCount, Threads, Room.SharedBytes);
        _products.Launch(launch, stream, in parameters);
        return new PartialLayout(1, IsBf16: true, HasBias: true);
    }

    /// <summary>How TMA finds what a stage needs of the rows: as many as there are tokens.</summary>
    private static CudaTensorMap Boxes(in ExpertRows rows, int columns, int tokens)
    {
        // On the stack: a forward allocates nothing.
        ReadOnlySpan<ulong> sizes = stackalloc ulong[] { Mxfp4Layout.GroupDepth, (ulong)rows.Tokens, (ulong)(columns / Mxfp4Layout.GroupDepth) };
        ReadOnlySpan<ulong> strides = stackalloc ulong[] { (ulong)rows.Stride * sizeof(ushort), Mxfp4Layout.GroupDepth * sizeof(ushort) };
        ReadOnlySpan<uint> boxes = stackalloc uint[] { Mxfp4Layout.GroupDepth, (uint)tokens, StageSteps };
        return CudaTensorMap.Tiled(CudaTensorMapDataType.BFloat16, rows.Address, sizes, strides, boxes, CudaTensorMapSwizzle.Swizzle128B);
    }

    /// <summary>A block's shared memory: as many stages as there is room for.</summary>
    private static class Room
    {
        private const int Columns = 8;
        private const int BandBytes = Columns * Mxfp4Layout.BandRows * sizeof(float);
        private const int OutBytes = 2048;
        private const int FixedBytes = (Groups * (OutBytes + ((Groups - 1) * BandBytes) + (Columns * sizeof(int)) + Mxfp4GroupedTile.BarrierBytes))
            + ((MostExperts + 1) * 2 * sizeof(int)) + Mxfp4GroupedTile.NumberBytes + Mxfp4GroupedTile.AlignmentBytes;
        private const int StageBytes = (StageSteps * ((Columns * Mxfp4Layout.GroupDepth * sizeof(ushort)) + (Mxfp4Layout.BandGroups * Mxfp4Layout.GroupBytes))) + Mxfp4GroupedTile.BarrierBytes;

        public const int Stages = (Mxfp4GroupedTile.MultiprocessorSharedBytes - Mxfp4GroupedTile.SystemSharedBytes - (Groups * Mxfp4GroupedTile.RoundingBytes) - FixedBytes) / StageBytes;
        public const int SharedBytes = FixedBytes + (Stages * StageBytes);
    }

    /// <summary><c>StreamProduct</c> of <c>mxfp4_stream.cuh</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Product
    {
        public nint Weights;
        public nint Bias;
        public nint Factor;
        public nint Out;
        public long OutStride;
        public int Rows;
        public int Depth;

        public static Product Of(Mxfp4Matrix matrix, nint target, int stride) => new()
        {
            Weights = matrix.Groups,
            Bias = matrix.Bias,
            Factor = matrix.Factors,
            Out = target,
            OutStride = stride,
            Rows = matrix.Rows,
            Depth = matrix.Depth,
        };
    }

    /// <summary><c>Mxfp4StreamParameters</c>. Its size is a multiple of its alignment, 64.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 448)]
    private struct Parameters
    {
        public CudaTensorMap Tokens;
        public CudaTensorMap Act;
        public Product First;
        public Product Second;
        public nint EarlyOffsets;
        public nint SortedPairs;
        public nint Counters;
        public nint Ticket;
        public int Experts;
        public int TopK;
        public int Columns;
        public ActivationConstants Activation;
    }
}
