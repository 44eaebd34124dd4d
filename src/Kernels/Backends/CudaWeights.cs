using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Both matrices of all experts on a device, in a backend's layout.</summary>
/// <param name="context">The context, which must outlive this.</param>
public abstract class CudaWeights(CudaContext context) : DeviceArena(context)
{
    /// <summary>[experts, hidden] float32: the second product's bias; 0 where the layer has none.</summary>
    public abstract nint OutputBias { get; }

    /// <summary>‖stored − kept‖ ÷ ‖stored‖ over the experts' weights; 0 where nothing was rounded.</summary>
    public double RoundingError { get; protected set; }

    /// <summary>What else a user should know of how they are kept, in a sentence; null for nothing.</summary>
    public string? Remark { get; protected set; }

    /// <summary>Fills weights just made, and waits until the source is no longer read; disposes them where that fails.</summary>
    protected static T Load<T>(T weights, Action<T> fill)
        where T : CudaWeights
    {
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentNullException.ThrowIfNull(fill);
        try
        {
            fill(weights);

            // The source's memory is the caller's again once this returns, and other streams read the weights.
            weights.Context.UseStream(0).Synchronize();
            return weights;
        }
        catch
        {
            weights.Dispose();
            throw;
        }
    }
}
