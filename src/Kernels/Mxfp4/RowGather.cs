namespace Moe.Plugins.Kernels;

/// <summary>Brings token rows into the order of the sorted pairs: <c>gather.cu</c>.</summary>
public sealed class RowGather : IRowGather
{
    private readonly RowKernel _gather;

    /// <summary>Gets the kernel.</summary>
    public RowGather(KernelLibrary library, RoutingKernels routing)
    {
        ArgumentNullException.ThrowIfNull(library);
        _gather = new RowKernel(library, routing, Unit, "moe_gather");
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
            Counters = routing.ProductCounters,
            XStride = rows.Stride,
            Columns = shape.HiddenSize,
            TopK = shape.TopK,
            Experts = shape.ExpertCount,
            Pairs = rows.Tokens * shape.TopK,
        };
        _gather.Launch(parameters.Pairs, stream, in parameters);
    }
}
