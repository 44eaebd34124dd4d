using System.Runtime.InteropServices;

namespace Moe.Plugins;

/// <summary>The process's own memory. It has no streams: each call has finished when it returns.</summary>
public sealed unsafe class MoeHostMemory : IMoeMemory
{
    private const nuint Alignment = 256;

    private MoeHostMemory()
    {
    }

    /// <summary>The one instance.</summary>
    public static MoeHostMemory Instance { get; } = new();

    /// <inheritdoc/>
    public MoeDevice Device => MoeDevice.Cpu;

    /// <inheritdoc/>
    public nint Allocate(long byteCount)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(byteCount, 1);
        try
        {
            return (nint)NativeMemory.AlignedAlloc((nuint)byteCount, Alignment);
        }
        catch (OutOfMemoryException exception)
        {
            throw new MoeException(MoeReason.OutOfMemory, $"Out of memory: {byteCount:N0} bytes requested.", exception);
        }
    }

    /// <inheritdoc/>
    public void Free(nint address) => NativeMemory.AlignedFree((void*)address);

    /// <inheritdoc/>
    public void CopyIn(nint destination, nint hostSource, long byteCount, nint stream)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteCount);
        Buffer.MemoryCopy((void*)hostSource, (void*)destination, byteCount, byteCount);
    }

    /// <inheritdoc/>
    public void CopyOut(nint hostDestination, nint source, long byteCount, nint stream) => CopyIn(hostDestination, source, byteCount, stream);

    /// <inheritdoc/>
    public void Copy2D(nint destination, long destinationStride, nint source, long sourceStride, long rowBytes, int rows, nint stream)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rowBytes);
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfLessThan(destinationStride, rowBytes);
        ArgumentOutOfRangeException.ThrowIfLessThan(sourceStride, rowBytes);
        for (int row = 0; row < rows; row++)
        {
            Buffer.MemoryCopy((byte*)source + (row * sourceStride), (byte*)destination + (row * destinationStride), rowBytes, rowBytes);
        }
    }

    /// <inheritdoc/>
    public void Zero(nint address, long byteCount, nint stream)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteCount);
        NativeMemory.Clear((void*)address, (nuint)byteCount);
    }

    /// <inheritdoc/>
    public void Synchronize(nint stream)
    {
    }
}
