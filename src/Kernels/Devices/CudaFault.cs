using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Turns the driver's errors into the contract's.</summary>
public static class CudaFault
{
    /// <summary><c>CUDA_ERROR_OUT_OF_MEMORY</c> of the driver API.</summary>
    private const int OutOfMemory = 2;

    /// <summary>The contract's exception for one of the driver or of NVRTC.</summary>
    public static MoeException Explain(CudaException exception)
    {
        ArgumentNullException.ThrowIfNull(exception);
        MoeReason reason = exception.Code switch
        {
            -1 => MoeReason.MissingLibrary,
            OutOfMemory => MoeReason.OutOfMemory,
            _ when exception.IsContextLost => MoeReason.ContextLost,
            _ => MoeReason.DeviceFailed,
        };
        return new MoeException(reason, exception.Message, exception);
    }
}
