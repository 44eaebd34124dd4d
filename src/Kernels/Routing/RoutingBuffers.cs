using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The device buffers of routing, made once for a config's most tokens.</summary>
public sealed class RoutingBuffers : IDisposable
{
    private readonly DeviceArray _partialLogits;
    private readonly DeviceArray _ids;
    private readonly DeviceArray _weights;
    private readonly DeviceArray _tickets;
    private readonly DeviceArray _productCounters;
    private readonly DeviceArray _offsets;
    private readonly DeviceArray _pairs;
    private readonly DeviceArray _blocks;
    private readonly DeviceArray _blockCount;
    private readonly DeviceArray _rows;

    /// <summary>Allocates.</summary>
    public RoutingBuffers(CudaContext context, MoeLayerConfig config)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(config);
        MoeLayerShape shape = config.Shape;
        long pairs = (long)config.MaxTokens * shape.TopK;
        long partialRows = RouterGrid.MaxPartialRows(config.MaxTokens, shape.ExpertCount, context.Device.MultiprocessorCount);
        _partialLogits = new DeviceArray(context, partialRows * shape.ExpertCount * sizeof(float));
        _ids = new DeviceArray(context, pairs * sizeof(int));
        _weights = new DeviceArray(context, pairs * sizeof(float));
        _tickets = new DeviceArray(context, (config.MaxTokens + 1L) * sizeof(int));
        _productCounters = new DeviceArray(context, (2L + shape.ExpertCount) * sizeof(int));
        _offsets = new DeviceArray(context, (shape.ExpertCount + 1L) * sizeof(int));
        _pairs = new DeviceArray(context, pairs * sizeof(int));
        _blocks = new DeviceArray(context, (shape.ExpertCount + pairs) * 4 * sizeof(int));
        _blockCount = new DeviceArray(context, sizeof(int));
        _rows = new DeviceArray(context, (long)config.MaxTokens * shape.HiddenSize * sizeof(ushort));

        // Launches find zeros here and leave zeros behind.
        using CudaContextScope scope = context.MakeCurrent();
        CudaMemory.Fill(_tickets.Address, 0, _tickets.ByteCount, 0);
        context.UseStream(0).Synchronize();
    }

    /// <summary>[tokens, top-k] int32.</summary>
    public nint Ids => _ids.Address;

    /// <summary>[tokens, top-k] float32.</summary>
    public nint Weights => _weights.Address;

    /// <summary>[experts + 1] int32: first sorted position of each expert.</summary>
    public nint ExpertOffsets => _offsets.Address;

    /// <summary>[pairs] int32: pairs (token · top-k + choice) in order of expert.</summary>
    public nint SortedPairs => _pairs.Address;

    /// <summary>[experts + pairs] of (expert, first position, rows, 0).</summary>
    public nint RowBlocks => _blocks.Address;

    /// <summary>
    /// [2 + experts] int32: tiles drawn by the first product and by the second, and how much of each expert the first has finished; the gather
    /// clears them.
    /// </summary>
    public nint ProductCounters => _productCounters.Address;

    /// <summary>[1] int32.</summary>
    public nint RowBlockCount => _blockCount.Address;

    /// <summary>[tokens, hidden] BF16: the caller's rows, where the kernels cannot read those in place.</summary>
    public nint Rows => _rows.Address;

    /// <summary>Bytes on the device.</summary>
    public long ByteCount =>
        _partialLogits.ByteCount + _ids.ByteCount + _weights.ByteCount + _tickets.ByteCount + _productCounters.ByteCount + _offsets.ByteCount
        + _pairs.ByteCount + _blocks.ByteCount + _blockCount.ByteCount + _rows.ByteCount;

    internal nint PartialLogits => _partialLogits.Address;

    internal nint Tickets => _tickets.Address;

    /// <summary>Where the sort writes, with blocks of so many rows; 0 for none.</summary>
    public SortTarget Target(int blockRows) => new()
    {
        ExpertOffsets = ExpertOffsets,
        SortedPairs = SortedPairs,
        RowBlocks = RowBlocks,
        RowBlockCount = RowBlockCount,
        BlockRows = blockRows,
    };

    /// <inheritdoc/>
    public void Dispose()
    {
        _partialLogits.Dispose();
        _ids.Dispose();
        _weights.Dispose();
        _tickets.Dispose();
        _productCounters.Dispose();
        _offsets.Dispose();
        _pairs.Dispose();
        _blocks.Dispose();
        _blockCount.Dispose();
        _rows.Dispose();
    }
}
