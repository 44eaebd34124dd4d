using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Brings token rows into the order of the sorted pairs: <c>gather.cu</c>.</summary>
public sealed class RowGather : IRowGather
{
    private const int Threads = 256;
    private const int RowsPerBlock = Threads / 32;
    private const int BlocksPerMultiprocessor = 8;

    private readonly RoutingKernels _routing;
    private readonly CudaFunction _gather;
    private readonly int _mostBlocks;

    /// <summary>Gets the kernel.</summary>
    public RowGather(KernelLibrary library, RoutingKernels routing)
    {
        ArgumentNullException.ThrowIfNull(library);
        _routing = routing;
        _gather = library.Get(Unit, "moe_gather");
        _mostBlocks = BlocksPerMultiprocessor * library.Context.Device.MultiprocessorCount;
    }

    /// <summary>The source of the kernel.</summary>
    public static KernelUnit Unit { get; } = new("gather.cu");

    /// <inheritdoc/>
    public void Run(in ExpertRows rows, MoeLayerShape shape, RoutingBuffers routing, nint target, nint stream)
    {
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(routing);
        var parameters = new GatherParameters
        {
            X = rows.Address,
            Out = target,
            SortedPairs = routing.SortedPairs,
            ExpertOffsets = routing.ExpertOffsets,
            Tickets = routing.TileTickets,
            XStride = rows.Stride,
            Columns = shape.HiddenSize,
            TopK = shape.TopK,
            Experts = shape.ExpertCount,
        };
        int blocks = ((rows.Tokens * shape.TopK) + RowsPerBlock - 1) / RowsPerBlock;
        _gather.Launch(_routing.Launch(Math.Min(blocks, _mostBlocks), Threads), stream, in parameters);
    }
}
