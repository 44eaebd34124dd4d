using System.Runtime.InteropServices;

namespace Moe.Plugins.Conformance.Tests.Liars;

/// <summary>The process's own memory.</summary>
internal sealed unsafe class HostMemory : IMoeMemory
{
    public MoeDevice Device => MoeDevice.Cpu;

    public nint Allocate(long byteCount) => (nint)NativeMemory.AlignedAlloc((nuint)byteCount, 256);

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
        // Everything is done when a call returns.
    }

    private static void Copy(nint destination, nint source, long byteCount) =>
        Buffer.MemoryCopy((void*)source, (void*)destination, byteCount, byteCount);
}
