using System.Runtime.InteropServices;

namespace Moe.Plugins.Cpu;

/// <summary>The process's own memory. There are no streams: each call has finished when it returns.</summary>
internal sealed unsafe class CpuMemory : IMoeMemory
{
    private const nuint Alignment = 256;

    public MoeDevice Device => MoeDevice.Cpu;

    public nint Allocate(long byteCount)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(byteCount, 1);
        try
        {
            return (nint)NativeMemory.AlignedAlloc((nuint)byteCount, Alignment);
        }
        catch (OutOfMemoryException exception)
        {
            throw new MoeException(MoeReason.OutOfMemory, $"The machine has not the {byteCount:N0} bytes of memory that were asked for.", exception);
        }
    }

    public void Free(nint address) => NativeMemory.AlignedFree((void*)address);

    public void CopyIn(nint destination, nint hostSource, long byteCount, nint stream) =>
        Buffer.MemoryCopy((void*)hostSource, (void*)destination, byteCount, byteCount);

    public void CopyOut(nint hostDestination, nint source, long byteCount, nint stream) =>
        Buffer.MemoryCopy((void*)source, (void*)hostDestination, byteCount, byteCount);

    public void Copy2D(nint destination, long destinationStride, nint source, long sourceStride, long rowBytes, int rows, nint stream)
    {
        for (int row = 0; row < rows; row++)
        {
            Buffer.MemoryCopy(
                (byte*)source + (row * sourceStride), (byte*)destination + (row * destinationStride), rowBytes, rowBytes);
        }
    }

    public void Zero(nint address, long byteCount, nint stream) => NativeMemory.Clear((void*)address, (nuint)byteCount);

    public void Synchronize(nint stream)
    {
    }
}
