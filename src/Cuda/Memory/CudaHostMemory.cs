using System.Runtime.CompilerServices;

namespace Moe.Plugins.Cuda;

/// <summary>Pinned host memory. The address, good on host and device, is <see cref="CudaObject.Handle"/>.</summary>
public sealed unsafe class CudaHostMemory : CudaObject
{
    internal CudaHostMemory(CudaContext context, nint address, long byteCount)
        : base(context, address, ownsHandle: true)
    {
        ByteCount = byteCount;
    }

    /// <summary>The size in bytes.</summary>
    public long ByteCount { get; }

    /// <summary>The memory as a span, good only while this object is held and not disposed.</summary>
    /// <typeparam name="T">The element's type.</typeparam>
    /// <exception cref="OverflowException">It is longer than a span can be.</exception>
    public Span<T> AsSpan<T>()
        where T : unmanaged => new((void*)Handle, checked((int)(ByteCount / Unsafe.SizeOf<T>())));

    private protected override int Release(nint rawHandle) => DriverApi.cuMemFreeHost(rawHandle);
}
