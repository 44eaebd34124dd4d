namespace Moe.Plugins.Kernels;

/// <summary>Widens MXFP8 rows to BF16, in the order of the sorted pairs or in their own: <c>gather_mxfp8.cu</c>.</summary>
internal sealed class Mxfp8Gather(KernelLibrary library, RoutingKernels routing) : IRowGather
{
    private readonly RowKernel _gather = new(library, routing, Unit, "moe_gather_mxfp8");

    public static KernelUnit Unit { get; } = new("gather_mxfp8.cu");

    public void Run(in ExpertRows rows, MoeLayerShape shape, RoutingBuffers routing, nint target, nint stream)
    {
        GatherMxfp8Parameters parameters = Common(rows, shape, rows.Tokens * shape.TopK, target);
        parameters.SortedPairs = routing.SortedPairs;
        parameters.Pairs = routing.ExpertOffsets + (shape.ExpertCount * sizeof(int));
        parameters.Counters = routing.ProductCounters;
        parameters.Experts = shape.ExpertCount;
        Launch(parameters, stream);
    }

    /// <summary>Enqueues the widening of rows in their own order.</summary>
    /// <param name="rows">The rows.</param>
    /// <param name="shape">The layer's shape.</param>
    /// <param name="target">[tokens, hidden] BF16.</param>
    /// <param name="stream">The stream.</param>
    /// <returns>The target.</returns>
    public ExpertRows Widen(in ExpertRows rows, MoeLayerShape shape, nint target, nint stream)
    {
        Launch(Common(rows, shape, rows.Tokens, target), stream);
        return new ExpertRows(target, shape.HiddenSize, rows.Tokens);
    }

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

    private void Launch(in GatherMxfp8Parameters parameters, nint stream) => _gather.Launch(parameters.Rows, stream, in parameters);
}
