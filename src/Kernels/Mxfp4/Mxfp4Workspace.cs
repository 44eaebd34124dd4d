using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The device buffers of one stream's forwards through <see cref="Mxfp4Products"/>.</summary>
public sealed class Mxfp4Workspace : IMoeWorkspace
{
    private const int CounterCount = 3;

    private readonly DeviceArray _act;
    private readonly DeviceArray _partial;
    private readonly DeviceArray _counters;

    /// <summary>Allocates.</summary>
    /// <param name="context">The context.</param>
    /// <param name="config">The layer's config.</param>
    /// <param name="plan">Which kernels will run.</param>
    public Mxfp4Workspace(CudaContext context, MoeLayerConfig config, Mxfp4Plan plan)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(config);
        ArgumentNullException.ThrowIfNull(plan);
        MoeLayerShape shape = config.Shape;
        Config = config;
        int pairs = checked(config.MaxTokens * shape.TopK);
        Routing = new RoutingBuffers(context, config);
        _act = new DeviceArray(context, (long)pairs * shape.IntermediateSize * sizeof(ushort));
        _partial = new DeviceArray(context, Math.Max((long)pairs * shape.HiddenSize * sizeof(ushort), plan.MaxPartialBytes(config.MaxTokens)));
        _counters = new DeviceArray(context, CounterCount * sizeof(int));
        using CudaContextScope scope = context.MakeCurrent();
        if (context.Device.Architecture.Major >= 9)
        {
            Gathered = new RowMaps(Partial, shape.HiddenSize, pairs);
            ActRows = new RowMaps(Act, shape.IntermediateSize, pairs);
        }

        // Launches find zeros here and leave zeros behind.
        CudaMemory.Fill(_counters.Address, 0, _counters.ByteCount, 0);
        context.Synchronize();
    }

    /// <inheritdoc/>
    public MoeLayerConfig Config { get; }

    /// <inheritdoc/>
    public long ByteCount => Routing.ByteCount + _act.ByteCount + _partial.ByteCount + _counters.ByteCount;

    /// <summary>The routing's buffers.</summary>
    public RoutingBuffers Routing { get; }

    /// <summary>[splits, pairs, hidden] float32 or [pairs, hidden] BF16; before that, [sorted pairs, hidden] BF16: the gathered rows.</summary>
    public nint Partial => _partial.Address;

    /// <summary>[sorted pairs, intermediate] BF16.</summary>
    internal nint Act => _act.Address;

    internal nint Counters => _counters.Address;

    internal RowMaps Gathered { get; }

    internal RowMaps ActRows { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Routing.Dispose();
        _act.Dispose();
        _partial.Dispose();
        _counters.Dispose();
    }
}
