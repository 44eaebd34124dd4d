using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Device memory that one owner holds: weights or a workspace's buffer. Frees itself with Dispose.</summary>
public sealed class DeviceArray : IDisposable
{
    private readonly CudaDeviceMemory _memory;

    /// <summary>Allocates; 0 bytes take one, so that there always is an address.</summary>
    /// <exception cref="MoeException">The device has not that much memory left.</exception>
    public DeviceArray(CudaContext context, long byteCount)
    {
        ArgumentNullException.ThrowIfNull(context);
        try
        {
            _memory = context.Allocate(Math.Max(1, byteCount));
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }

    /// <summary>The device address.</summary>
    public nint Address => _memory.Handle;

    /// <summary>Bytes that were allocated.</summary>
    public long ByteCount => _memory.ByteCount;

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();
}
