using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Brings token rows into the order of the sorted pairs, as BF16: <c>gather.cu</c>, and <c>gather_mxfp8.cu</c> for rows of MXFP8.</summary>
public sealed class RowGather
{
    private const int Threads = 256;
    private const int RowsPerBlock = Threads / 32;
    private const int BlocksPerMultiprocessor = 8;

    private readonly KernelLibrary _library;
    private readonly CudaFunction _gather;
    private readonly Mxfp4Activations _activations;
    private readonly int _mostBlocks;

    /// <summary>Gets the kernel.</summary>
    /// <param name="library">The backend's kernels.</param>
    /// <param name="activations">What the rows are.</param>
    public RowGather(KernelLibrary library, Mxfp4Activations activations = Mxfp4Activations.BFloat16)
    {
        ArgumentNullException.ThrowIfNull(library);
        ArgumentCheck.ThrowIfUndefined(activations);
        _library = library;
        _activations = activations;
        string entry = activations == Mxfp4Activations.Mxfp8 ? "moe_gather_mxfp8" : "moe_gather";
        _gather = library.Get(Unit(activations), entry, besideProducts: true);
        _mostBlocks = BlocksPerMultiprocessor * library.Context.Device.MultiprocessorCount;
    }

    /// <summary>The source of the kernel.</summary>
    public static KernelUnit Unit(Mxfp4Activations activations = Mxfp4Activations.BFloat16)
    {
        ArgumentCheck.ThrowIfUndefined(activations);
        return new(activations == Mxfp4Activations.Mxfp8 ? "gather_mxfp8.cu" : "gather.cu");
    }

    /// <summary>Enqueues the copies.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="shape">The layer's shape: hidden size columns, top-k pairs per row.</param>
    /// <param name="routing">The sorted pairs.</param>
    /// <param name="target">[sorted pairs, hidden] BF16.</param>
    /// <param name="stream">The stream.</param>
    public void Run(in ExpertRows rows, MoeLayerShape shape, RoutingBuffers routing, nint target, nint stream)
    {
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(routing);
        int pairs = rows.Tokens * shape.TopK;
        if (_activations == Mxfp4Activations.Mxfp8)
        {
            GatherMxfp8Parameters mxfp8 = Common(rows, shape, pairs, target);
            mxfp8.SortedPairs = routing.SortedPairs;
            mxfp8.Pairs = routing.ExpertOffsets + (shape.LocalExpertCount * sizeof(int));
            Launch(pairs, stream, in mxfp8);
            return;
        }

        var parameters = new GatherParameters
        {
            X = rows.Address,
            Out = target,
            SortedPairs = routing.SortedPairs,
            ExpertOffsets = routing.ExpertOffsets,
            XStride = rows.Stride,
            Columns = shape.HiddenSize,
            TopK = shape.TopK,
            Experts = shape.LocalExpertCount,
            Pairs = pairs,
        };
        Launch(pairs, stream, in parameters);
    }

    /// <summary>Enqueues the widening of rows of MXFP8 in their own order.</summary>
    /// <returns>The target: [tokens, hidden] BF16.</returns>
    private ExpertRows Widen(in ExpertRows rows, MoeLayerShape shape, nint target, nint stream)
    {
        GatherMxfp8Parameters parameters = Common(rows, shape, rows.Tokens, target);
        Launch(rows.Tokens, stream, in parameters);
        return new ExpertRows(target, shape.HiddenSize, rows.Tokens);
    }

    /// <summary>The rows as BF16 in their own order: as they are, or widened.</summary>
    internal ExpertRows InPlace(in ExpertRows rows, MoeLayerShape shape, nint target, nint stream) =>
        _activations == Mxfp4Activations.Mxfp8 ? Widen(rows, shape, target, stream) : rows;

    private static GatherMxfp8Parameters Common(in ExpertRows rows, MoeLayerShape shape, int count, nint target) => new()
    {
        Codes = rows.Address,
        Scales = rows.Scales,
        Out = target,
        Stride = (int)rows.Stride,
        Columns = shape.HiddenSize,
        Rows = count,
        TopK = shape.TopK,
    };

    // A warp per row.
    private void Launch<T>(int rows, nint stream, in T parameters)
        where T : unmanaged
    {
        int blocks = (rows + RowsPerBlock - 1) / RowsPerBlock;
        _gather.Launch(_library.Launch(Math.Min(blocks, _mostBlocks), Threads), stream, in parameters);
    }

    /// <summary>As in <c>gather.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct GatherParameters
    {
        public nint X;
        public nint Out;
        public nint SortedPairs;
        public nint ExpertOffsets;
        public long XStride;
        public int Columns;
        public int TopK;
        public int Experts;
        public int Pairs;
    }

    /// <summary>As in <c>gather_mxfp8.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct GatherMxfp8Parameters
    {
        public nint Codes;
        public nint Scales;
        public nint Out;
        public nint SortedPairs;
        public int Stride;
        public int Columns;
        public int Rows;
        public int TopK;
        public nint Pairs;
    }
}
