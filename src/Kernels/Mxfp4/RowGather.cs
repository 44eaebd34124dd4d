using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>
/// Brings token rows into the order of the sorted pairs, as BF16: <c>gather.cu</c>, and <c>gather_mxfp8.cu</c> where they are rounded to MXFP8's numbers on
/// their way.
/// </summary>
public sealed class RowGather
{
    private const int Threads = 256;
    private const int WarpsPerBlock = Threads / 32;
    private const int BlocksPerMultiprocessor = 8;

    /// <summary>Values of a row that a warp rounds. One that only copies has a whole row.</summary>
    private const int RoundedPerWarp = 1024;

    private readonly KernelLibrary _library;
    private readonly CudaFunction _gather;
    private readonly Mxfp4Activations _activations;
    private readonly int _mostBlocks;

    /// <summary>Gets the kernel.</summary>
    /// <param name="library">The backend's kernels.</param>
    /// <param name="activations">What rows are rounded to on their way.</param>
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
        int warpsPerRow = _activations == Mxfp4Activations.Mxfp8 ? (shape.HiddenSize + RoundedPerWarp - 1) / RoundedPerWarp : 1;
        int blocks = ((pairs * warpsPerRow) + WarpsPerBlock - 1) / WarpsPerBlock;
        _gather.Launch(_library.Launch(Math.Min(blocks, _mostBlocks), Threads), stream, in parameters);
    }

    /// <summary>As in <c>gather.cuh</c>.</summary>
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
}
