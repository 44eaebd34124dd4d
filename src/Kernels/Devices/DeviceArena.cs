using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>Device memory that one owner holds: what is allocated through it is counted, and freed together.</summary>
/// <param name="context">The context, which must outlive this.</param>
public class DeviceArena(CudaContext context) : IDisposable
{
    private readonly List<CudaDeviceMemory> _own = [];
    private readonly List<DeviceArena> _parts = [];

    /// <summary>Bytes on the device.</summary>
    public long ByteCount => _own.Sum(memory => memory.ByteCount) + _parts.Sum(part => part.ByteCount);

    /// <summary>The context that the memory belongs to.</summary>
    public CudaContext Context { get; } = context ?? throw new ArgumentNullException(nameof(context));

    /// <summary>Allocates; 0 bytes take one, so that there always is an address.</summary>
    /// <returns>The device address, 256-byte aligned.</returns>
    /// <exception cref="MoeException">The device has not that much memory left.</exception>
    public nint Allocate(long byteCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteCount);
        try
        {
            CudaDeviceMemory memory = Context.Allocate(Math.Max(1, byteCount));
            _own.Add(memory);
            return memory.Handle;
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }

    /// <summary>Allocates, and copies values there. The context must be current.</summary>
    /// <exception cref="MoeException">The device has not that much memory left.</exception>
    public nint Upload<T>(ReadOnlySpan<T> values)
        where T : unmanaged
    {
        nint address = Allocate(values.Length * (long)System.Runtime.CompilerServices.Unsafe.SizeOf<T>());
        CudaMemory.Upload(address, values);
        return address;
    }

    /// <summary>Counts and frees a part with this.</summary>
    /// <returns>The part.</returns>
    public T Add<T>(T part)
        where T : DeviceArena
    {
        ArgumentNullException.ThrowIfNull(part);
        _parts.Add(part);
        return part;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _parts.ForEach(part => part.Dispose());
        _own.ForEach(memory => memory.Dispose());
        DisposeOwn();
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees what a derived class owns besides device memory.</summary>
    protected virtual void DisposeOwn()
    {
    }
}
