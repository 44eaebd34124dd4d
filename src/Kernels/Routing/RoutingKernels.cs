using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Enqueues what comes before and after the experts' products: router, sort, combine. Allocates nothing.</summary>
public sealed class RoutingKernels
{
    /// <summary>The most experts that the kernels take.</summary>
    public const int MaxExperts = 512;

    /// <summary>The most choices of a token.</summary>
    public const int MaxTopK = 32;

    /// <summary>Up to so many pairs the router's last block sorts them itself, which saves a launch.</summary>
    private const int MaxPairsInRouter = 512;

    private const int RouterThreads = 256;
    private const int SortThreads = 1024;
    private const int CombineThreads = 128;
    private const int CombineColumns = 8;

    private readonly CudaFunction _router8;
    private readonly CudaFunction _router32;
    private readonly CudaFunction? _clusterRouter;
    private readonly CudaFunction _sort;
    private readonly CudaFunction _combine;
    private readonly CudaFunction _rows;
    private readonly int _multiprocessors;
    private readonly bool _hasDependentLaunch;
    private readonly int _maxSharedBytes;

    /// <summary>Gets the kernels.</summary>
    /// <param name="library">The backend's kernels.</param>
    public RoutingKernels(KernelLibrary library)
    {
        ArgumentNullException.ThrowIfNull(library);
        CudaDevice device = library.Context.Device;
        _multiprocessors = device.MultiprocessorCount;
        _maxSharedBytes = device.MaxSharedBytesPerBlock;
        _hasDependentLaunch = device.Architecture.Major >= 9;
        _router8 = library.Get(Router, "moe_router_8", besideProducts: true);
        _router32 = library.Get(Router, "moe_router_32", besideProducts: true);
        _clusterRouter = HasClusters(device.Architecture) ? library.Get(ClusterRouter, "moe_router_cluster", _maxSharedBytes, besideProducts: true) : null;
        _sort = library.Get(SortUnit, "moe_sort", besideProducts: true);
        _combine = library.Get(CombineUnit, "moe_combine", besideProducts: true);
        _rows = library.Get(RowsUnit, "moe_rows_to_bf16");
    }

    private static KernelUnit Router { get; } = new("router.cu");

    private static KernelUnit ClusterRouter { get; } = new("router_cluster.cu");

    private static KernelUnit SortUnit { get; } = new("sort.cu");

    private static KernelUnit CombineUnit { get; } = new("combine.cu");

    private static KernelUnit RowsUnit { get; } = new("rows.cu");

    /// <summary>The sources of these kernels for an architecture.</summary>
    public static IReadOnlyList<KernelUnit> Units(CudaArchitecture architecture) =>
        [Router, .. HasClusters(architecture) ? new[] { ClusterRouter } : [], SortUnit, CombineUnit, RowsUnit];

    /// <summary>A launch that may begin while the one before it still runs, where the device can do that.</summary>
    public CudaLaunchConfig Launch(CudaDim3 grid, int threads, int dynamicSharedBytes = 0) =>
        new(grid, threads, dynamicSharedBytes) { ProgrammaticStreamSerialization = _hasDependentLaunch };

    /// <summary>Whether rows are BF16 and 16-byte aligned, as the products read them.</summary>
    public static bool ReadsInPlace(in MoeTensorView input) =>
        input.ElementType == MoeElementType.BFloat16 && input.Address % 16 == 0 && input.RowStride % 16 == 0;

    /// <summary>The caller's activations as the products read them: in place where they are BF16 and 16-byte aligned, else copied.</summary>
    /// <returns>The address of the first row, and elements from one row to the next.</returns>
    public (nint Address, long Stride) Rows(in MoeTensorView input, RoutingBuffers buffers, nint stream)
    {
        ArgumentNullException.ThrowIfNull(buffers);
        if (ReadsInPlace(input))
        {
            return (input.Address, input.RowStride / sizeof(ushort));
        }

        var parameters = new RowsParameters
        {
            Source = input.Address,
            Target = buffers.Rows,
            SourceStride = input.RowStride / input.ElementType.ByteSize(),
            Columns = input.Columns,
            SourceIsBf16 = input.ElementType == MoeElementType.BFloat16 ? 1 : 0,
        };
        _rows.Launch(Launch(input.Rows, RouterThreads), stream, in parameters);
        return (buffers.Rows, input.Columns);
    }

    /// <summary>Logits, top-k, weights and the order by expert.</summary>
    /// <param name="x">BF16 rows, 16-byte aligned.</param>
    /// <param name="xStride">Elements from one row to the next.</param>
    /// <param name="tokens">Rows, at least 1.</param>
    /// <param name="router">The router's weights.</param>
    /// <param name="shape">The layer's shape.</param>
    /// <param name="buffers">Where intermediate results go.</param>
    /// <param name="ids">[tokens, top-k] int32, dense: where the choice goes.</param>
    /// <param name="weights">[tokens, top-k] float32, dense.</param>
    /// <param name="blockRows">Rows of a row block; 0 to make none.</param>
    /// <param name="stream">The stream.</param>
    public void Route(
        nint x, long xStride, int tokens, RouterTensors router, MoeLayerShape shape, RoutingBuffers buffers, nint ids, nint weights, int blockRows, nint stream)
    {
        ArgumentNullException.ThrowIfNull(router);
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(buffers);
        int pairs = tokens * shape.TopK;
        RouterClusters? clusters = _clusterRouter is null ? null : RouterClusters.For(tokens, shape, router.Terms, _maxSharedBytes);

        // Clusters know nothing of each other's choices.
        bool sorts = pairs <= MaxPairsInRouter && clusters is not { Count: > 1 };
        var parameters = new RouterParameters
        {
            X = x,
            Weight = router.Weight,
            Bias = router.Bias,
            Ids = ids,
            Weights = weights,
            Target = buffers.Target(blockRows),
            XStride = xStride,
            Tokens = tokens,
            Hidden = shape.HiddenSize,
            Experts = shape.ExpertCount,
            TopK = shape.TopK,
            Terms = router.Terms,
            Scoring = (int)shape.RouterScoring,
            Sort = sorts ? 1 : 0,
        };
        if (clusters is { } found)
        {
            RouteOnClusters(parameters, found, stream);
        }
        else
        {
            RouteSplit(parameters, buffers, stream);
        }

        if (!sorts)
        {
            Sort(ids, pairs, shape.ExpertCount, buffers, blockRows, stream);
        }
    }

    /// <summary>The order by expert alone, for routing that the caller hands in.</summary>
    public void Sort(nint ids, int pairs, int experts, RoutingBuffers buffers, int blockRows, nint stream)
    {
        ArgumentNullException.ThrowIfNull(buffers);
        var parameters = new SortParameters { Ids = ids, Target = buffers.Target(blockRows), Pairs = pairs, Experts = experts };
        _sort.Launch(Launch(experts, SortThreads), stream, in parameters);
    }

    /// <summary>The weighted sum of each token's partial results.</summary>
    public void Combine(in CombineParameters parameters, nint stream)
    {
        long pieces = (long)parameters.Tokens * (parameters.Hidden / CombineColumns);
        _combine.Launch(Launch(checked((int)((pieces + CombineThreads - 1) / CombineThreads)), CombineThreads), stream, in parameters);
    }

    private static bool HasClusters(CudaArchitecture architecture) => architecture.Major >= 9;

    private void RouteOnClusters(in RouterParameters router, RouterClusters clusters, nint stream)
    {
        CudaLaunchConfig launch = Launch(clusters.Count * RouterClusters.Blocks, RouterClusters.Threads, clusters.SharedBytes) with
        {
            Cluster = RouterClusters.Blocks,
        };
        var parameters = new ClusterRouterParameters { Router = router, TileBits = clusters.TileBits, PartBits = clusters.PartBits };
        _clusterRouter!.Launch(launch, stream, in parameters);
    }

    private void RouteSplit(in RouterParameters router, RoutingBuffers buffers, nint stream)
    {
        RouterGrid grid = RouterGrid.For(router.Tokens, router.Experts, _multiprocessors);
        int pairs = router.Tokens * router.TopK;
        int shared = Math.Max(512 * grid.TokenTile, router.Sort * (((((pairs + 31) / 32) + 1) * router.Experts) + pairs) * sizeof(int));
        CudaFunction kernel = grid.TokenTile == 8 ? _router8 : _router32;
        var parameters = new SplitRouterParameters
        {
            Router = router,
            PartialLogits = buffers.PartialLogits,
            Tickets = buffers.Tickets,
            ExpertWarps = grid.ExpertWarps,
        };
        kernel.Launch(Launch(new CudaDim3(grid.X, grid.Y, grid.Z), RouterThreads, shared), stream, in parameters);
    }
}
