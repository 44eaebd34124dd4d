namespace Moe.Plugins;

/// <summary>
/// The memory that a backend computes on. The host pads, slices and sizes its buffers through this interface and knows nothing
/// else of the device. A stream is the backend's raw handle (a <c>CUstream</c>, say); 0 is its default stream. Calls that take
/// a stream may return before the work is done. All members may be called from several threads at once.
/// </summary>
public interface IMoeMemory
{
    /// <summary>The device that the addresses belong to.</summary>
    MoeDevice Device { get; }

    /// <summary>Allocates memory, aligned to at least 256 bytes. Its contents are undefined.</summary>
    /// <param name="byteCount">Bytes, at least 1.</param>
    /// <exception cref="MoeException">The device has not that much memory left; the message says how much was asked for.</exception>
    nint Allocate(long byteCount);

    /// <summary>Frees what <see cref="Allocate"/> returned, after the work that was enqueued on it. 0 is ignored.</summary>
    void Free(nint address);

    /// <summary>Enqueues a copy of <paramref name="byteCount"/> bytes from host memory to this memory.</summary>
    void CopyIn(nint destination, nint hostSource, long byteCount, nint stream);

    /// <summary>Enqueues a copy of <paramref name="byteCount"/> bytes from this memory to host memory.</summary>
    void CopyOut(nint hostDestination, nint source, long byteCount, nint stream);

    /// <summary>Enqueues a copy of <paramref name="rows"/> rows of <paramref name="rowBytes"/> bytes within this memory.</summary>
    /// <param name="destination">Address of the first row to write.</param>
    /// <param name="destinationStride">Bytes from one written row to the next.</param>
    /// <param name="source">Address of the first row to read.</param>
    /// <param name="sourceStride">Bytes from one read row to the next.</param>
    /// <param name="rowBytes">Bytes of a row that are copied; what lies beyond them is untouched.</param>
    /// <param name="rows">Number of rows.</param>
    /// <param name="stream">The stream to enqueue on.</param>
    void Copy2D(nint destination, long destinationStride, nint source, long sourceStride, long rowBytes, int rows, nint stream);

    /// <summary>Enqueues the zeroing of <paramref name="byteCount"/> bytes.</summary>
    void Zero(nint address, long byteCount, nint stream);

    /// <summary>Makes a stream of the backend's own; 0 where the backend has no streams.</summary>
    nint CreateStream() => 0;

    /// <summary>Destroys what <see cref="CreateStream"/> returned. 0 is ignored.</summary>
    void DestroyStream(nint stream)
    {
    }

    /// <summary>Waits until all that was enqueued on <paramref name="stream"/> is done.</summary>
    /// <exception cref="MoeException">Something enqueued before has failed.</exception>
    void Synchronize(nint stream);
}
