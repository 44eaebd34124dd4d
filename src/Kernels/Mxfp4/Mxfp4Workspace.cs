using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The device buffers of one stream's forwards through <see cref="Mxfp4Products"/>.</summary>
public sealed class Mxfp4Workspace : IMoeWorkspace
{
    private readonly DeviceArray? _gathered;
    private readonly DeviceArray _act;
    private readonly DeviceArray _partial;

    /// <summary>Allocates.</summary>
    /// <param name="context">The context.</param>
    /// <param name="config">The layer's config.</param>
    public Mxfp4Workspace(CudaContext context, MoeLayerConfig config)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(config);
        MoeLayerShape shape = config.Shape;
        Config = config;
        int pairs = checked(config.MaxTokens * shape.TopK);
        Routing = new RoutingBuffers(context, config);
        _act = new DeviceArray(context, (long)pairs * shape.IntermediateSize * sizeof(ushort));
        _partial = new DeviceArray(context, Mxfp4GroupedKernels.MaxPartialRows(pairs) * shape.HiddenSize * sizeof(ushort));
        using CudaContextScope scope = context.MakeCurrent();
        if (context.Device.Architecture.Number == Mxfp4GroupedKernels.ArchitectureNumber)
        {
            _gathered = new DeviceArray(context, (long)pairs * shape.HiddenSize * sizeof(ushort));
            Gathered = new RowMaps(GatheredRows, shape.HiddenSize, pairs);
            ActRows = new RowMaps(Act, shape.IntermediateSize, pairs);
        }
    }

    /// <inheritdoc/>
    public MoeLayerConfig Config { get; }

    /// <inheritdoc/>
    public long ByteCount => Routing.ByteCount + _act.ByteCount + _partial.ByteCount + (_gathered?.ByteCount ?? 0);

    /// <summary>The routing's buffers.</summary>
    public RoutingBuffers Routing { get; }

    /// <summary>[parts, pairs, hidden] BF16.</summary>
    public nint Partial => _partial.Address;

    /// <summary>[sorted pairs, intermediate] BF16.</summary>
    internal nint Act => _act.Address;

    /// <summary>[sorted pairs, hidden] BF16. Not the partial results' memory, which the second product writes while the first still reads this.</summary>
    internal nint GatheredRows => _gathered?.Address ?? 0;

    internal RowMaps Gathered { get; }

    internal RowMaps ActRows { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Routing.Dispose();
        _gathered?.Dispose();
        _act.Dispose();
        _partial.Dispose();
    }
}
