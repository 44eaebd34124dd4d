using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>The device buffers of one stream's products: the order of the pairs, and what a backend adds.</summary>
public abstract class CudaWorkspace : DeviceArena
{
    /// <summary>Allocates the order's.</summary>
    protected CudaWorkspace(CudaContext context, MoeLayerConfig config)
        : base(context)
    {
        ArgumentNullException.ThrowIfNull(config);
        MaxPairs = checked(config.MaxTokens * config.Shape.TopK);
        Routing = Add(new RoutingBuffers(context, config));
    }

    /// <summary>The order of the pairs by expert.</summary>
    public RoutingBuffers Routing { get; }

    /// <summary>The partial results, as <see cref="PartialLayout"/> says.</summary>
    public abstract nint PartialResults { get; }

    /// <summary>The most pairs of a forward.</summary>
    protected int MaxPairs { get; }
}
