using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The device buffers of routing, made once for a config's most tokens.</summary>
public sealed class RoutingBuffers : DeviceArena
{
    /// <summary>The most experts that routing and products take.</summary>
    public const int MaxExperts = 1024;

    private readonly MoeLayerShape _shape;

    /// <summary>Allocates.</summary>
    public RoutingBuffers(CudaContext context, MoeLayerConfig config)
        : base(context)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(config);
        MoeLayerShape shape = config.Shape;
        _shape = shape;
        int experts = shape.LocalExpertCount;
        long pairs = (long)config.MaxTokens * shape.TopK;
        long partialRows = RouterKernels.MaxPartialRows(config.MaxTokens, shape.ExpertCount, context.Device.MultiprocessorCount);
        PartialLogits = Allocate(((partialRows * shape.ExpertCount) + MaxExperts) * sizeof(float));
        Ids = Allocate(pairs * sizeof(int));
        Weights = Allocate(pairs * sizeof(float));
        ProductCounters = Allocate((2L + experts) * sizeof(int));
        ExpertOffsets = Allocate((experts + 1L) * sizeof(int));
        SortedPairs = Allocate(pairs * sizeof(int));
        RowBlocks = Allocate((experts + pairs) * 4 * sizeof(int));
        RowBlockCount = Allocate(sizeof(int));
        Rows = Allocate((long)config.MaxTokens * shape.HiddenSize * sizeof(ushort));

        // Launches find zeros here and leave zeros behind.
        long ticketBytes = (config.MaxTokens + 1L) * sizeof(int);
        Tickets = Allocate(ticketBytes);
        using CudaContextScope scope = context.MakeCurrent();
        CudaMemory.Fill(Tickets, 0, ticketBytes, 0);
        context.UseStream(0).Synchronize();
    }

    /// <summary>[tokens, top-k] int32.</summary>
    public nint Ids { get; }

    /// <summary>[tokens, top-k] float32.</summary>
    public nint Weights { get; }

    /// <summary>[experts + 1] int32: first sorted position of each expert of this device.</summary>
    public nint ExpertOffsets { get; }

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

    /// <summary>[tokens, hidden] BF16: the caller's rows, where the kernels cannot read those in place.</summary>
    public nint Rows { get; }

    /// <summary>[parts, tokens, experts] float32, and room for <see cref="MaxExperts"/> behind them, which is read and not used.</summary>
    internal nint PartialLogits { get; }

    internal nint Tickets { get; }

    /// <summary>Where the sort writes, with blocks of so many rows; 0 for none.</summary>
    internal SortTarget Target(int blockRows) => new()
    {
        ExpertOffsets = ExpertOffsets,
        SortedPairs = SortedPairs,
        RowBlocks = RowBlocks,
        RowBlockCount = RowBlockCount,
        Counters = ProductCounters,
        BlockRows = blockRows,
        Experts = _shape.LocalExpertCount,
        FirstExpert = _shape.FirstExpert,
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
        public int BlockRows;
        public int Experts;
        public int FirstExpert;
    }
}
