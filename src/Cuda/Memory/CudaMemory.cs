using System.Runtime.CompilerServices;

namespace Moe.Plugins.Cuda;

/// <summary>
/// Memory by raw address, whoever allocated it. The context must be current on the calling thread
/// (<see cref="CudaContext.MakeCurrent"/>); streams are raw <c>CUstream</c>s, 0 being the default stream.
/// </summary>
/// <remarks>
/// Copies tell host from device by the address. They are enqueued only; a copy from or to pageable host memory may still
/// make the host wait, a captured graph cannot hold one, and the host memory must stay until the stream has passed it.
/// </remarks>
public static unsafe class CudaMemory
{
    /// <summary>Allocates device memory, aligned to 256 bytes at least. It is not cleared.</summary>
    /// <param name="byteCount">The size in bytes, above 0.</param>
    /// <returns>The device address.</returns>
    /// <exception cref="CudaException">There is not enough memory; the message says how much is free.</exception>
    public static nint Allocate(long byteCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(byteCount);
        int result = DriverApi.cuMemAlloc_v2(out nint address, (nuint)byteCount);
        return result == 0 ? address : throw Failed(result, nameof(DriverApi.cuMemAlloc_v2), byteCount);
    }

    /// <summary>Frees what <see cref="Allocate"/> gave. Waits for the device.</summary>
    /// <param name="address">The device address.</param>
    public static void Free(nint address) => CudaException.ThrowIfFailed(DriverApi.cuMemFree_v2(address));

    /// <summary>Allocates device memory from the device's pool, in the order of a stream. It is not cleared.</summary>
    /// <param name="byteCount">The size in bytes, above 0.</param>
    /// <param name="stream">The stream; others must wait for it before they use the memory.</param>
    /// <returns>The device address.</returns>
    /// <exception cref="CudaException">There is not enough memory; the message says how much is free.</exception>
    public static nint AllocateAsync(long byteCount, nint stream)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(byteCount);
        int result = DriverApi.cuMemAllocAsync(out nint address, (nuint)byteCount, stream);
        return result == 0 ? address : throw Failed(result, nameof(DriverApi.cuMemAllocAsync), byteCount);
    }

    /// <summary>Frees what <see cref="AllocateAsync"/> gave, once the stream gets there.</summary>
    /// <param name="address">The device address.</param>
    /// <param name="stream">The stream.</param>
    public static void FreeAsync(nint address, nint stream) =>
        CudaException.ThrowIfFailed(DriverApi.cuMemFreeAsync(address, stream));

    /// <summary>Enqueues a copy between device and device, or device and host, in either direction.</summary>
    /// <param name="destination">Where to.</param>
    /// <param name="source">Where from.</param>
    /// <param name="byteCount">The size in bytes.</param>
    /// <param name="stream">The stream.</param>
    public static void Copy(nint destination, nint source, long byteCount, nint stream)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteCount);
        if (byteCount > 0)
        {
            CudaException.ThrowIfFailed(DriverApi.cuMemcpyAsync(destination, source, (nuint)byteCount, stream));
        }
    }

    /// <summary>Enqueues a copy of rows that lie apart, between device and device, or device and host.</summary>
    /// <param name="destination">Where the first row goes.</param>
    /// <param name="destinationStride">The bytes from one row's start to the next at the destination.</param>
    /// <param name="source">Where the first row is.</param>
    /// <param name="sourceStride">The bytes from one row's start to the next at the source.</param>
    /// <param name="rowBytes">The bytes of each row to copy, no more than either stride.</param>
    /// <param name="rows">The number of rows.</param>
    /// <param name="stream">The stream.</param>
    public static void Copy2D(
        nint destination, long destinationStride, nint source, long sourceStride, long rowBytes, int rows, nint stream)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rowBytes);
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfLessThan(destinationStride, rowBytes);
        ArgumentOutOfRangeException.ThrowIfLessThan(sourceStride, rowBytes);
        if (rowBytes == 0 || rows == 0)
        {
            return;
        }

        CuMemcpy2D copy = new()
        {
            SourceMemoryType = CuMemcpy2D.UnifiedMemory,
            SourceDevice = source,
            SourcePitch = (nuint)sourceStride,
            DestinationMemoryType = CuMemcpy2D.UnifiedMemory,
            DestinationDevice = destination,
            DestinationPitch = (nuint)destinationStride,
            WidthInBytes = (nuint)rowBytes,
            Height = (nuint)rows,
        };
        CudaException.ThrowIfFailed(DriverApi.cuMemcpy2DAsync_v2(&copy, stream));
    }

    /// <summary>Copies from the host to the device and waits for it.</summary>
    /// <typeparam name="T">The element's type.</typeparam>
    /// <param name="destination">The device address.</param>
    /// <param name="source">What to copy.</param>
    public static void Upload<T>(nint destination, ReadOnlySpan<T> source)
        where T : unmanaged
    {
        fixed (T* pointer = source)
        {
            nuint bytes = (nuint)source.Length * (nuint)Unsafe.SizeOf<T>();
            CudaException.ThrowIfFailed(bytes == 0 ? 0 : DriverApi.cuMemcpyHtoD_v2(destination, pointer, bytes));
        }
    }

    /// <summary>Copies from the device to the host and waits for it.</summary>
    /// <typeparam name="T">The element's type.</typeparam>
    /// <param name="destination">Where to.</param>
    /// <param name="source">The device address.</param>
    public static void Download<T>(Span<T> destination, nint source)
        where T : unmanaged
    {
        fixed (T* pointer = destination)
        {
            nuint bytes = (nuint)destination.Length * (nuint)Unsafe.SizeOf<T>();
            CudaException.ThrowIfFailed(bytes == 0 ? 0 : DriverApi.cuMemcpyDtoH_v2(pointer, source, bytes));
        }
    }

    /// <summary>
    /// Names memory for other processes of this machine, which reach it through <see cref="CudaContext.OpenPeerMemory"/>. It must stay until all of
    /// them have disposed what they opened.
    /// </summary>
    /// <param name="address">What <see cref="Allocate"/> returned.</param>
    /// <returns>Bytes that mean something to other processes only.</returns>
    /// <exception cref="CudaException">The system has no such names.</exception>
    public static byte[] Export(nint address)
    {
        CuIpcMemHandle exported;
        CudaException.ThrowIfFailed(DriverApi.cuIpcGetMemHandle(&exported, address));
        return new ReadOnlySpan<byte>(exported.Bytes, CuIpcMemHandle.ByteCount).ToArray();
    }

    /// <summary>Enqueues setting each byte to a value.</summary>
    /// <param name="address">The device address.</param>
    /// <param name="value">The value.</param>
    /// <param name="byteCount">The size in bytes.</param>
    /// <param name="stream">The stream.</param>
    public static void Fill(nint address, byte value, long byteCount, nint stream)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteCount);
        if (byteCount > 0)
        {
            CudaException.ThrowIfFailed(DriverApi.cuMemsetD8Async(address, value, (nuint)byteCount, stream));
        }
    }

    /// <summary>Enqueues setting each byte of rows that lie apart to a value, such as the padding at the rows' ends.</summary>
    /// <param name="address">The device address of the first row.</param>
    /// <param name="stride">The bytes from one row's start to the next.</param>
    /// <param name="value">The value.</param>
    /// <param name="rowBytes">The bytes of each row to set, no more than the stride.</param>
    /// <param name="rows">The number of rows.</param>
    /// <param name="stream">The stream.</param>
    public static void Fill2D(nint address, long stride, byte value, long rowBytes, int rows, nint stream)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rowBytes);
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfLessThan(stride, rowBytes);
        if (rowBytes > 0 && rows > 0)
        {
            CudaException.ThrowIfFailed(DriverApi.cuMemsetD2D8Async(address, (nuint)stride, value, (nuint)rowBytes, (nuint)rows, stream));
        }
    }

    private static CudaException Failed(int result, string call, long byteCount)
    {
        string free = DriverApi.cuMemGetInfo_v2(out nuint freeBytes, out nuint totalBytes) == 0
            ? $"; {(ulong)freeBytes:N0} of {(ulong)totalBytes:N0} bytes are free"
            : "";
        return CudaException.FromDriver(result, call, $"{byteCount:N0} bytes of device memory were asked for{free}.");
    }
}
