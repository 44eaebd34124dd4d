using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>A CUDA device's memory as the host sees it. Addresses and streams are the driver's raw ones, of the primary context.</summary>
public sealed class CudaMoeMemory : IMoeMemory
{
    private readonly CudaContext _context;

    /// <summary>Uses a context, which must outlive this.</summary>
    public CudaMoeMemory(CudaContext context)
    {
        ArgumentNullException.ThrowIfNull(context);
        _context = context;
        Device = MoeDevice.Cuda(context.Device.Ordinal);
    }

    /// <inheritdoc/>
    public MoeDevice Device { get; }

    /// <inheritdoc/>
    public nint Allocate(long byteCount)
    {
        using CudaContextScope scope = _context.MakeCurrent();
        try
        {
            return CudaMemory.Allocate(byteCount);
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }

    /// <inheritdoc/>
    public void Free(nint address)
    {
        if (address != 0)
        {
            using CudaContextScope scope = _context.MakeCurrent();
            CudaMemory.Free(address);
        }
    }

    /// <inheritdoc/>
    public void CopyIn(nint destination, nint hostSource, long byteCount, nint stream)
    {
        using CudaContextScope scope = _context.MakeCurrent();
        CudaMemory.Copy(destination, hostSource, byteCount, stream);
    }

    /// <inheritdoc/>
    public void CopyOut(nint hostDestination, nint source, long byteCount, nint stream)
    {
        using CudaContextScope scope = _context.MakeCurrent();
        CudaMemory.Copy(hostDestination, source, byteCount, stream);
    }

    /// <inheritdoc/>
    public void Copy2D(nint destination, long destinationStride, nint source, long sourceStride, long rowBytes, int rows, nint stream)
    {
        using CudaContextScope scope = _context.MakeCurrent();
        CudaMemory.Copy2D(destination, destinationStride, source, sourceStride, rowBytes, rows, stream);
    }

    /// <inheritdoc/>
    public void Zero(nint address, long byteCount, nint stream)
    {
        using CudaContextScope scope = _context.MakeCurrent();
        CudaMemory.Fill(address, 0, byteCount, stream);
    }

    /// <inheritdoc/>
    public nint CreateStream() => StreamTable.Create(_context);

    /// <inheritdoc/>
    public void DestroyStream(nint stream) => StreamTable.Destroy(stream);

    /// <inheritdoc/>
    public void Synchronize(nint stream)
    {
        try
        {
            _context.UseStream(stream).Synchronize();
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }
}
