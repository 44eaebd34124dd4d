using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Kernels;

/// <summary>A CUDA device's memory as the host sees it. Addresses and streams are the driver's raw ones, of the primary context.</summary>
public sealed class CudaMoeMemory : IMoeMemory
{
    private const int Threads = 256;
    private const int PieceBytes = 16;
    private const int BlocksPerMultiprocessor = 8;

    // What was handed out as a raw handle, until it is handed back.
    private static readonly ConcurrentDictionary<nint, CudaStream> Streams = new();

    private readonly KernelLibrary _library;
    private readonly CudaContext _context;
    private readonly CudaFunction _copyRows;
    private readonly int _mostBlocks;

    /// <summary>Uses the context of a backend's kernels, which must outlive this.</summary>
    public CudaMoeMemory(KernelLibrary library)
    {
        ArgumentNullException.ThrowIfNull(library);
        _library = library;
        _context = library.Context;
        CudaDevice device = _context.Device;
        Device = MoeDevice.Cuda(device.Ordinal);
        _mostBlocks = BlocksPerMultiprocessor * device.MultiprocessorCount;

        // Loaded now, since a module cannot be loaded while a stream is being captured.
        _copyRows = library.Get(Unit, "moe_copy_rows", besideProducts: true);
    }

    /// <summary>The source of its kernel.</summary>
    public static KernelUnit Unit { get; } = new("copy_rows.cu");

    /// <inheritdoc/>
    public MoeDevice Device { get; }

    /// <inheritdoc/>
    public nint Allocate(long byteCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(byteCount);
        try
        {
            using CudaContextScope scope = _context.MakeCurrent();
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
        if (address == 0)
        {
            return;
        }

        try
        {
            using CudaContextScope scope = _context.MakeCurrent();
            CudaMemory.Free(address);
        }
        catch (CudaException exception) when (exception.IsContextLost)
        {
            // The memory went with the context.
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }

    /// <inheritdoc/>
    public void CopyIn(nint destination, nint hostSource, long byteCount, nint stream)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteCount);
        try
        {
            using CudaContextScope scope = _context.MakeCurrent();
            CudaMemory.Copy(destination, hostSource, byteCount, stream);
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }

    /// <inheritdoc/>
    public void CopyOut(nint hostDestination, nint source, long byteCount, nint stream)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteCount);
        try
        {
            using CudaContextScope scope = _context.MakeCurrent();
            CudaMemory.Copy(hostDestination, source, byteCount, stream);
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }

    /// <inheritdoc/>
    public void Copy2D(nint destination, long destinationStride, nint source, long sourceStride, long rowBytes, int rows, nint stream)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rowBytes);
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfLessThan(destinationStride, rowBytes);
        ArgumentOutOfRangeException.ThrowIfLessThan(sourceStride, rowBytes);
        if (rowBytes == 0 || rows == 0)
        {
            return;
        }

        var parameters = new CopyRowsParameters
        {
            Source = source,
            Target = destination,
            SourceStride = sourceStride,
            TargetStride = destinationStride,
            RowBytes = rowBytes,
            Rows = rows,
        };
        long blocks = ((rowBytes / PieceBytes * rows) + Threads - 1) / Threads;
        try
        {
            using CudaContextScope scope = _context.MakeCurrent();
            _copyRows.Launch(_library.Launch((int)Math.Clamp(blocks, 1, _mostBlocks), Threads), stream, in parameters);
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }

    /// <inheritdoc/>
    public void Zero(nint address, long byteCount, nint stream)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(byteCount);
        try
        {
            using CudaContextScope scope = _context.MakeCurrent();
            CudaMemory.Fill(address, 0, byteCount, stream);
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }

    /// <inheritdoc/>
    public nint CreateStream()
    {
        try
        {
            CudaStream stream = _context.CreateStream();
            Streams[stream] = stream;
            return stream;
        }
        catch (CudaException exception)
        {
            throw CudaFault.Explain(exception);
        }
    }

    /// <inheritdoc/>
    public void DestroyStream(nint stream)
    {
        if (Streams.TryRemove(stream, out CudaStream? found))
        {
            found.Dispose();
        }
    }

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

    /// <summary>As in <c>copy_rows.cu</c>.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct CopyRowsParameters
    {
        public nint Source;
        public nint Target;
        public long SourceStride;
        public long TargetStride;
        public long RowBytes;
        public long Rows;
    }
}
