using System.Runtime.InteropServices;
using Moe.Plugins;

namespace Contoso.MyBackend;

/// <summary>The process's own memory: what the host sizes, pads and slices its buffers through.</summary>
internal sealed unsafe class HostMemory : IMoeMemory
{
    private const nuint Alignment = 256;

    public MoeDevice Device => MoeDevice.Cpu;

    public nint Allocate(long byteCount)
    {
        try
        {
            return (nint)NativeMemory.AlignedAlloc((nuint)byteCount, Alignment);
        }
        catch (OutOfMemoryException exception)
        {
            throw new MoeException(MoeReason.OutOfMemory, $"{byteCount} bytes of memory cannot be had.", exception);
        }
    }

    public void Free(nint address) => NativeMemory.AlignedFree((void*)address);

    public void CopyIn(nint destination, nint hostSource, long byteCount, nint stream) => Copy(destination, hostSource, byteCount);

    public void CopyOut(nint hostDestination, nint source, long byteCount, nint stream) => Copy(hostDestination, source, byteCount);

    public void Copy2D(nint destination, long destinationStride, nint source, long sourceStride, long rowBytes, int rows, nint stream)
    {
        for (int row = 0; row < rows; row++)
        {
            Copy((nint)(destination + (row * destinationStride)), (nint)(source + (row * sourceStride)), rowBytes);
        }
    }

    public void Zero(nint address, long byteCount, nint stream) => NativeMemory.Clear((void*)address, (nuint)byteCount);

    public void Synchronize(nint stream)
    {
        // A CPU has finished when a call returns.
    }

    private static void Copy(nint destination, nint source, long byteCount) =>
        Buffer.MemoryCopy((void*)source, (void*)destination, byteCount, byteCount);
}
