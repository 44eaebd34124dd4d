using System.Numerics;
using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The router: on clusters of blocks where it fits them, else on any device and for any number of experts.</summary>
internal sealed class RouterKernels
{
    /// <summary>Up to so many pairs the router's last block sorts them itself, which saves a launch.</summary>
    private const int MaxPairsInRouter = 512;
    private const int Threads = 256;

    /// <summary>Dynamic shared memory that a kernel may have without asking for more.</summary>
    private const int MaxSortBytes = 48 << 10;

    private static readonly KernelUnit PresetRouter = new("router.cu");
    private static readonly KernelUnit ProgramRouter = new("router_any.cu");
    private static readonly KernelUnit ClusterRouter = new("router_cluster.cu");

    private readonly KernelLibrary _library;
    private readonly CudaFunction _router8;
    private readonly CudaFunction _router32;
    private readonly CudaFunction? _clusterRouter;
    private readonly int _multiprocessors;
    private readonly int _maxSharedBytes;

    /// <summary>Gets the kernels.</summary>
    /// <param name="library">The backend's kernels; its context must be current.</param>
    /// <param name="router">What they are to run: a preset or another program, of which each has its own kernels.</param>
    public RouterKernels(KernelLibrary library, MoeRouter router)
    {
        _library = library;
        CudaDevice device = library.Context.Device;
        _multiprocessors = device.MultiprocessorCount;
        _maxSharedBytes = device.MaxSharedBytesPerBlock;
        bool isPreset = RouterProgram.PresetOf(router) is not null;
        KernelUnit unit = isPreset ? PresetRouter : ProgramRouter;
        _router8 = Get(unit, isPreset ? "moe_router_8" : "moe_router_program_8");
        _router32 = Get(unit, isPreset ? "moe_router_32" : "moe_router_program_32");
        _clusterRouter = device.Architecture.HasClusters
            ? Get(ClusterRouter, isPreset ? "moe_router_cluster" : "moe_router_cluster_program", _maxSharedBytes)
            : null;

        CudaFunction Get(KernelUnit unit, string entry, int sharedBytes = 0) => library.Get(unit, entry, sharedBytes, besideProducts: true);
    }

    /// <summary>The sources for an architecture.</summary>
    public static IEnumerable<KernelUnit> Units(CudaArchitecture architecture) => architecture.HasClusters
        ? [PresetRouter, ProgramRouter, ClusterRouter]
        : [PresetRouter, ProgramRouter];

    /// <summary>The most rows of partial logits of few tokens.</summary>
    public static long MaxFewRows => Grid.MaxFewRows;

    /// <summary>The most rows of partial logits, up to so many tokens.</summary>
    public static long MaxPartialRows(int maxTokens, int experts, int multiprocessors) => Grid.MaxPartialRows(maxTokens, experts, multiprocessors);

    /// <summary>Logits, top-k, weights and the order by expert.</summary>
    /// <param name="x">BF16 rows, 16-byte aligned.</param>
    /// <param name="xStride">Elements from one row to the next.</param>
    /// <param name="tokens">Rows, at least 1.</param>
    /// <param name="router">The router's weights.</param>
    /// <param name="tokenIds">[tokens, 1] int32, where the router's table names the experts.</param>
    /// <param name="shape">The layer's shape.</param>
    /// <param name="buffers">Where intermediate results go.</param>
    /// <param name="target">Where the sort writes.</param>
    /// <param name="ids">[tokens, top-k] int32, dense: where the choice goes.</param>
    /// <param name="weights">[tokens, top-k] float32, dense.</param>
    /// <param name="stream">The stream.</param>
    /// <returns>Whether the pairs are sorted by expert, too; else that is left to a launch of its own.</returns>
    public bool Route(
        nint x,
        long xStride,
        int tokens,
        RouterTensors router,
        in MoeTensorView tokenIds,
        MoeLayerShape shape,
        RouterBuffers buffers,
        in RoutingBuffers.SortTarget target,
        nint ids,
        nint weights,
        nint stream)
    {
        int pairs = tokens * shape.TopK;
        Clusters? clusters = _clusterRouter is null ? null : Clusters.For(tokens, shape, router.Terms, _maxSharedBytes);

        // Clusters know nothing of each other's choices.
        bool sorts = pairs <= MaxPairsInRouter && clusters is not { Count: > 1 } && SortBytes(pairs, shape.LocalExpertCount) <= MaxSortBytes;
        var parameters = new Parameters
        {
            X = x,
            Weight = router.Weight,
            Bias = router.Bias,
            Ids = ids,
            Weights = weights,
            Target = target,
            XStride = xStride,
            Tokens = tokens,
            Hidden = shape.HiddenSize,
            Experts = shape.ExpertCount,
            TopK = shape.TopK,
            Terms = router.Terms,
            Scoring = router.Preset ?? 0,
            Sort = sorts ? 1 : 0,
        };
        RouterProgram? program = router.Preset is null ? router.Program.With(tokenIds) : null;
        if (clusters is { } found)
        {
            RouteOnClusters(parameters, program, found, stream);
        }
        else
        {
            RouteSplit(parameters, program, buffers, stream);
        }

        return sorts;
    }

    private static int SortBytes(int pairs, int experts) => (((((pairs + 31) / 32) + 1) * experts) + pairs) * sizeof(int);

    private void RouteOnClusters(in Parameters router, in RouterProgram? program, Clusters clusters, nint stream)
    {
        CudaLaunchConfig launch = _library.Launch(clusters.Count * Clusters.Blocks, Clusters.Threads, clusters.SharedBytes) with
        {
            Cluster = Clusters.Blocks,
        };
        var parameters = new ClusterParameters { Router = router, TileBits = clusters.TileBits, PartBits = clusters.PartBits };
        Launch(_clusterRouter!, launch, parameters, program, stream);
    }

    private void RouteSplit(in Parameters router, in RouterProgram? program, RouterBuffers buffers, nint stream)
    {
        Grid grid = Grid.For(router.Tokens, router.Experts, _multiprocessors);
        int shared = Math.Max(512 * grid.TokenTile, router.Sort * SortBytes(router.Tokens * router.TopK, router.Target.Experts));
        var parameters = new SplitParameters
        {
            Router = router,
            PartialLogits = grid.IsFew ? buffers.FewLogits : buffers.PartialLogits,
            Tickets = buffers.Tickets,
            ExpertWarps = grid.ExpertWarps,
        };

        // Few tokens' last row of blocks has no experts: it chooses.
        CudaLaunchConfig launch = _library.Launch(new CudaDim3(grid.X, grid.Y + (grid.IsFew ? 1 : 0), grid.Z), Threads, shared);
        Launch(grid.IsFew ? _router8 : _router32, launch, parameters, program, stream);
    }

    private static void Launch<T>(CudaFunction kernel, CudaLaunchConfig launch, in T parameters, in RouterProgram? program, nint stream)
        where T : unmanaged
    {
        if (program is not { } any)
        {
            kernel.Launch(launch, stream, in parameters);
            return;
        }

        var both = new WithProgram<T> { Router = parameters, Program = any };
        kernel.Launch(launch, stream, in both);
    }

    /// <summary>How the work of <c>router_cluster.cu</c> is divided, for a number of tokens.</summary>
    /// <param name="TileBits">Logarithm of the tokens of a cluster.</param>
    /// <param name="PartBits">Logarithm of the warps that share the products of 16 tokens.</param>
    /// <param name="Count">Clusters.</param>
    /// <param name="SharedBytes">Dynamic shared memory of a block.</param>
    private readonly record struct Clusters(int TileBits, int PartBits, int Count, int SharedBytes)
    {
        /// <summary>Blocks of a cluster.</summary>
        public const int Blocks = 8;

        /// <summary>Threads of a block.</summary>
        public const int Threads = 512;

        // As in router_cluster.cu.
        private const int Rows = 32;
        private const int OwnBits = 4;
        private const int WarpBits = 4;
        private const int MaxTileBits = 6;
        private const int MaxPartBits = 3;
        private const int SumBytes = (Rows + 4) * sizeof(float) << (OwnBits + WarpBits);

        /// <summary>The clusters; null where the router does not fit them.</summary>
        /// <param name="tokens">Tokens, at least 1.</param>
        /// <param name="shape">The layer's shape.</param>
        /// <param name="terms">BF16 terms of a router weight.</param>
        /// <param name="maxSharedBytes">What a block may have.</param>
        public static Clusters? For(int tokens, MoeLayerShape shape, int terms, int maxSharedBytes)
        {
            int tileBits = Math.Clamp(BitOperations.Log2((uint)tokens - 1) + 1, OwnBits, MaxTileBits);
            while (tileBits > OwnBits && Shared(tileBits, shape, terms) > maxSharedBytes)
            {
                tileBits--;
            }

            int shared = Shared(tileBits, shape, terms);
            return shape.ExpertCount <= Rows && shared <= maxSharedBytes
                ? new Clusters(tileBits, Math.Min(MaxPartBits, WarpBits + OwnBits - tileBits), (tokens + (1 << tileBits) - 1) >> tileBits, shared)
                : null;
        }

        private static int Shared(int tileBits, MoeLayerShape shape, int terms)
        {
            int slices = (shape.HiddenSize + 31) / 32;
            int stride = 64 * (((slices + Blocks - 1) / Blocks) | 1);
            int operands = checked(stride * ((terms * Rows) + (1 << tileBits)));
            int received = Rows * Blocks * sizeof(float) << OwnBits;
            return Math.Max(operands, SumBytes) + received + (Rows * sizeof(float)) + (2 * sizeof(long)) + ((sizeof(int) << tileBits) * shape.TopK);
        }
    }

    /// <summary>How the router's work is divided among thread blocks, for a number of tokens.</summary>
    /// <param name="TokenTile">Tokens of a block, 8 or 32: which of the two kernels runs.</param>
    /// <param name="ExpertWarps">Warps of a block that stand side by side along the experts.</param>
    /// <param name="X">Blocks along the tokens.</param>
    /// <param name="Y">Blocks along the experts.</param>
    /// <param name="Z">Parts of the inner dimension.</param>
    private readonly record struct Grid(int TokenTile, int ExpertWarps, int X, int Y, int Z)
    {
        /// <summary>Few tokens get narrow blocks, so that the inner dimension is read by many of them at once.</summary>
        private const int FewTokens = 64;
        private const int FewTile = 8;
        private const int MostFewParts = 4;
        private const int ExpertsPerWarp = 16;

        /// <summary>The most that Z × tokens can be with few tokens.</summary>
        public static long MaxFewRows => FewTokens * MostFewParts;

        /// <summary>Whether a tile's last block waits for the logits themselves.</summary>
        public bool IsFew => TokenTile == FewTile;

        public static Grid For(int tokens, int experts, int multiprocessors)
        {
            int tile = tokens <= FewTokens ? FewTile : 32;
            int groups = (experts + ExpertsPerWarp - 1) / ExpertsPerWarp;
            int warps = tile == FewTile ? 1 : (int)Math.Min(8, BitOperations.RoundUpToPowerOf2((uint)groups));
            int x = (tokens + tile - 1) / tile;
            int y = (experts + (ExpertsPerWarp * warps) - 1) / (ExpertsPerWarp * warps);
            return new Grid(tile, warps, x, y, tile == FewTile ? Math.Clamp(multiprocessors / (x * y), 1, MostFewParts) : Math.Clamp(2 * multiprocessors / (x * y), 1, 8));
        }

        /// <summary>The most that Z × tokens can be, up to so many tokens: what sizes the buffer of partial logits.</summary>
        public static long MaxPartialRows(int maxTokens, int experts, int multiprocessors)
        {
            long most = 0;
            for (int tokens = 1; tokens <= maxTokens; tokens++)
            {
                most = Math.Max(most, (long)tokens * For(tokens, experts, multiprocessors).Z);
            }

            return most;
        }
    }

    /// <summary><c>RouterParameters</c> of <c>router.cuh</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Parameters
    {
        public nint X;
        public nint Weight;
        public nint Bias;
        public nint Ids;
        public nint Weights;
        public RoutingBuffers.SortTarget Target;
        public long XStride;
        public int Tokens;
        public int Hidden;
        public int Experts;
        public int TopK;
        public int Terms;
        public int Scoring;
        public int Sort;
        public int Reserved;
    }

    /// <summary><c>ClusterRouterParameters</c> of <c>router_cluster.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct ClusterParameters
    {
        public Parameters Router;
        public int TileBits;
        public int PartBits;
    }

    /// <summary><c>SplitRouterParameters</c> of <c>split_router.cuh</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct SplitParameters
    {
        public Parameters Router;
        public nint PartialLogits;
        public nint Tickets;
        public int ExpertWarps;
        public int Reserved;
    }

    /// <summary>A kernel's parameters with a program behind them.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct WithProgram<T>
        where T : unmanaged
    {
        public T Router;
        public RouterProgram Program;
    }
}
