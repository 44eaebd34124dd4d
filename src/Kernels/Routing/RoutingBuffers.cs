using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The order of pairs by expert, which products read, in device buffers that are made once for a config's most tokens.</summary>
public sealed class RoutingBuffers : DeviceArena
{
    /// <summary>The most experts that routing and products take.</summary>
    public const int MaxExperts = 1024;

    private readonly int _experts;
    private readonly int _firstExpert;

    /// <summary>Allocates.</summary>
    public RoutingBuffers(CudaContext context, MoeLayerConfig config)
        : base(context)
    {
        ArgumentNullException.ThrowIfNull(config);
        MoeLayerShape shape = config.Shape;
        _experts = shape.LocalExpertCount;
        _firstExpert = shape.FirstExpert;
        long pairs = (long)config.MaxTokens * shape.TopK;
        ProductCounters = Allocate((2L + _experts) * sizeof(int));
        ExpertOffsets = Allocate((_experts + 1L) * sizeof(int));
        EarlyOffsets = Allocate((_experts + 1L) * sizeof(int));
        SortedPairs = Allocate(pairs * sizeof(int));
        RowBlocks = Allocate((_experts + pairs) * 4 * sizeof(int));
        RowBlockCount = Allocate(sizeof(int));
    }

    /// <summary>[experts + 1] int32: first sorted position of each expert of this device.</summary>
    public nint ExpertOffsets { get; }

    /// <summary>The same, for a kernel that begins while the sort still runs: each word has every bit set until its offset comes.</summary>
    internal nint EarlyOffsets { get; }

    /// <summary>[pairs] int32: pairs (token · top-k + choice) in order of expert.</summary>
    public nint SortedPairs { get; }

    /// <summary>[experts + pairs] of (expert, first position, rows, 0).</summary>
    public nint RowBlocks { get; }

    /// <summary>
    /// [2 + experts] int32: tiles drawn by the first product and by the second, and how much of each expert the first has finished; the sort
    /// clears them.
    /// </summary>
    public nint ProductCounters { get; }

    /// <summary>[1] int32.</summary>
    public nint RowBlockCount { get; }

    /// <summary>Where the sort writes.</summary>
    /// <param name="blockRows">Rows of the blocks that it makes; 0 for none.</param>
    /// <param name="earlyCounter">[1] int32 to clear for a launch behind that begins before the sort; 0 where there is none.</param>
    internal SortTarget Target(int blockRows, nint earlyCounter) => new()
    {
        ExpertOffsets = ExpertOffsets,
        SortedPairs = SortedPairs,
        RowBlocks = RowBlocks,
        RowBlockCount = RowBlockCount,
        Counters = ProductCounters,
        EarlyOffsets = EarlyOffsets,
        EarlyCounter = earlyCounter,
        BlockRows = blockRows,
        Experts = _experts,
        FirstExpert = _firstExpert,
    };

    /// <summary>As in <c>sort.cuh</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct SortTarget
    {
        public nint ExpertOffsets;
        public nint SortedPairs;
        public nint RowBlocks;
        public nint RowBlockCount;
        public nint Counters;
        public nint EarlyOffsets;
        public nint EarlyCounter;
        public int BlockRows;
        public int Experts;
        public int FirstExpert;
    }
}
