using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace Moe.Plugins.Conformance.Tests.Liars;

/// <summary>The process's own memory, with streams as a device has them: what is enqueued on one is done later. The default stream works at once.</summary>
internal sealed unsafe class HostMemory : IMoeMemory
{
    private readonly ConcurrentDictionary<nint, WorkQueue> _streams = new();
    private long _lastStream;

    /// <summary>Where it is, or says that it is.</summary>
    public MoeDevice Device { get; set; } = MoeDevice.Cpu;

    public nint Allocate(long byteCount) => (nint)NativeMemory.AlignedAlloc((nuint)byteCount, 256);

    public void Free(nint address) => NativeMemory.AlignedFree((void*)address);

    public void CopyIn(nint destination, nint hostSource, long byteCount, nint stream) =>
        Enqueue(stream, () => Copy(destination, hostSource, byteCount));

    public void CopyOut(nint hostDestination, nint source, long byteCount, nint stream) =>
        Enqueue(stream, () => Copy(hostDestination, source, byteCount));

    public void Copy2D(nint destination, long destinationStride, nint source, long sourceStride, long rowBytes, int rows, nint stream) => Enqueue(stream, () =>
    {
        for (int row = 0; row < rows; row++)
        {
            Copy((nint)(destination + (row * destinationStride)), (nint)(source + (row * sourceStride)), rowBytes);
        }
    });

    public void Zero(nint address, long byteCount, nint stream) => Enqueue(stream, () => NativeMemory.Clear((void*)address, (nuint)byteCount));

    public nint CreateStream()
    {
        nint stream = (nint)Interlocked.Increment(ref _lastStream);
        _streams[stream] = new WorkQueue();
        return stream;
    }

    public void DestroyStream(nint stream)
    {
        if (_streams.TryRemove(stream, out WorkQueue? queue))
        {
            queue.Dispose();
        }
    }

    public void Enqueue(nint stream, Action action)
    {
        if (stream == 0)
        {
            action();
        }
        else
        {
            _streams[stream].Enqueue(action);
        }
    }

    public void Synchronize(nint stream)
    {
        if (stream != 0)
        {
            _streams[stream].Synchronize();
        }
    }

    private static void Copy(nint destination, nint source, long byteCount) =>
        Buffer.MemoryCopy((void*)source, (void*)destination, byteCount, byteCount);
}
