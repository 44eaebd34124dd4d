using System.Runtime.InteropServices;

namespace Moe.Plugins.Tests;

/// <summary>Memory of this process, as a backend would offer it. Fresh memory is full of garbage, and all of it must be freed.</summary>
internal sealed unsafe class HostMemory : IMoeMemory, IDisposable
{
    private readonly Dictionary<nint, long> _blocks = [];

    public MoeDevice Device { get; init; } = MoeDevice.Cpu;

    public int BlockCount => _blocks.Count;

    public int CopyCount { get; private set; }

    /// <summary>Bytes of the block that begins at an address; 0 where none does.</summary>
    public long ByteCountAt(nint address) => _blocks.GetValueOrDefault(address);

    public nint Allocate(long byteCount)
    {
        nint address = (nint)NativeMemory.AlignedAlloc((nuint)byteCount, 256);
        NativeMemory.Fill((void*)address, (nuint)byteCount, 0xFF);
        _blocks.Add(address, byteCount);
        return address;
    }

    public void Free(nint address)
    {
        if (address != 0)
        {
            Assert.True(_blocks.Remove(address), "What is freed was allocated, and not freed before.");
            NativeMemory.AlignedFree((void*)address);
        }
    }

    public void CopyIn(nint destination, nint hostSource, long byteCount, nint stream) => Copy2D(destination, 0, hostSource, 0, byteCount, 1, stream);

    public void CopyOut(nint hostDestination, nint source, long byteCount, nint stream) => Copy2D(hostDestination, 0, source, 0, byteCount, 1, stream);

    public void Copy2D(nint destination, long destinationStride, nint source, long sourceStride, long rowBytes, int rows, nint stream)
    {
        CopyCount++;
        for (int row = 0; row < rows; row++)
        {
            NativeMemory.Copy((void*)(source + (nint)(row * sourceStride)), (void*)(destination + (nint)(row * destinationStride)), (nuint)rowBytes);
        }
    }

    public void Zero(nint address, long byteCount, nint stream) => NativeMemory.Clear((void*)address, (nuint)byteCount);

    public void Synchronize(nint stream)
    {
    }

    public void Dispose()
    {
        foreach (nint address in _blocks.Keys.ToArray())
        {
            Free(address);
        }
    }
}
