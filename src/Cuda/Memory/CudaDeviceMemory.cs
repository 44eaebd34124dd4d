namespace Moe.Plugins.Cuda;

/// <summary>Device memory; disposing waits for the device and frees it. The address is <see cref="CudaObject.Handle"/>.</summary>
public sealed class CudaDeviceMemory : CudaObject
{
    internal CudaDeviceMemory(CudaContext context, nint address, long byteCount)
        : base(context, address, ownsHandle: true)
    {
        ByteCount = byteCount;
    }

    /// <summary>The size in bytes.</summary>
    public long ByteCount { get; }

    private protected override int Release(nint rawHandle) => DriverApi.cuMemFree_v2(rawHandle);
}
