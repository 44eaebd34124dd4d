using System.Runtime.InteropServices;

namespace Moe.Plugins.Cpu;

/// <summary>Memory outside of the collector's reach, aligned for whole cache lines and huge pages.</summary>
internal sealed unsafe class NativeBuffer : IDisposable
{
    private void* _address;

    public NativeBuffer(long byteCount)
    {
        ByteCount = byteCount;
        try
        {
            _address = HugePages.Allocate((nuint)Math.Max(1, byteCount));
        }
        catch (OutOfMemoryException exception)
        {
            throw new MoeException(MoeReason.OutOfMemory, $"Out of memory: {byteCount:N0} bytes requested.", exception);
        }
    }

    ~NativeBuffer() => Free();

    public long ByteCount { get; }

    public T* Pointer<T>()
        where T : unmanaged
    {
        ObjectDisposedException.ThrowIf(_address is null, this);
        return (T*)_address;
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        NativeMemory.AlignedFree(_address);
        _address = null;
    }
}
