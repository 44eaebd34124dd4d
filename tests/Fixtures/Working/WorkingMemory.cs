using System.Runtime.InteropServices;
using Moe.Plugins;

namespace Fixtures;

/// <summary>The process's memory.</summary>
internal sealed unsafe class WorkingMemory(string fault) : IMoeMemory
{
    public MoeDevice Device => MoeDevice.Cpu;

    public nint Allocate(long byteCount) => (nint)NativeMemory.AlignedAlloc((nuint)byteCount, 256);

    public void Free(nint address) => NativeMemory.AlignedFree((void*)address);

    public void CopyIn(nint destination, nint hostSource, long byteCount, nint stream) =>
        NativeMemory.Copy((void*)hostSource, (void*)destination, (nuint)byteCount);

    public void CopyOut(nint hostDestination, nint source, long byteCount, nint stream) =>
        NativeMemory.Copy((void*)source, (void*)hostDestination, (nuint)byteCount);

    public void Copy2D(nint destination, long destinationStride, nint source, long sourceStride, long rowBytes, int rows, nint stream)
    {
        for (int row = 0; row < rows; row++)
        {
            CopyIn(destination + (nint)(row * destinationStride), source + (nint)(row * sourceStride), rowBytes, stream);
        }
    }

    public void Zero(nint address, long byteCount, nint stream) => NativeMemory.Clear((void*)address, (nuint)byteCount);

    public void Synchronize(nint stream)
    {
        if (fault == "lost-later")
        {
            throw new MoeException(MoeReason.ContextLost, "the fixture's device is gone");
        }
    }
}
