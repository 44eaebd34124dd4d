using System.Runtime.InteropServices;

namespace Moe.Plugins;

/// <summary>
/// A tensor that owns its memory, on the host or on a backend's device: dense, [planes, rows, columns]. Its contents start undefined.
/// </summary>
/// <remarks>
/// Copies to and from arrays wait until they are done. Dispose after the work that uses the buffer; a host buffer that nobody disposed
/// is freed by the collector, one on a device is not, for its memory may be gone by then.
/// </remarks>
public unsafe class MoeBuffer : IDisposable
{
    private readonly IMoeMemory _memory;
    private nint _address;

    /// <summary>Allocates a buffer.</summary>
    /// <param name="memory">Where: <see cref="IMoeQuantMethod.Memory"/>, say.</param>
    /// <param name="elementType">What one element is.</param>
    /// <param name="rows">Rows of a plane.</param>
    /// <param name="columns">Elements of a row.</param>
    /// <param name="planes">Planes, 1 for a matrix.</param>
    /// <exception cref="MoeException">There is not that much memory, or the backend's memory returned no address.</exception>
    public MoeBuffer(IMoeMemory memory, MoeElementType elementType, int rows, int columns, int planes = 1)
    {
        ArgumentNullException.ThrowIfNull(memory);
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        ArgumentOutOfRangeException.ThrowIfNegative(planes);
        _memory = memory;
        ByteCount = checked((long)rows * columns * planes * elementType.ByteSize(nameof(elementType)));

        // An empty tensor has an address too, so that a view of it is not taken for none.
        _address = memory.Allocate(Math.Max(ByteCount, 1));
        if (_address == 0)
        {
            throw new MoeException(MoeReason.ContractBroken, $"{nameof(IMoeMemory)}.{nameof(IMoeMemory.Allocate)} returned no address for {Math.Max(ByteCount, 1)} bytes on {memory.Device}.");
        }

        View = new MoeTensorView(_address, memory.Device, elementType, rows, columns, planes: planes);
    }

    /// <summary>Frees host memory that nobody disposed.</summary>
    ~MoeBuffer() => Dispose(disposing: false);

    /// <summary>The tensor, valid until Dispose.</summary>
    public MoeTensorView View { get; }

    /// <summary>Bytes of all elements.</summary>
    public long ByteCount { get; }

    /// <summary>Elements of all planes.</summary>
    public long Length => ByteCount / View.ElementType.ByteSize();

    /// <summary>Allocates a buffer in the process's own memory.</summary>
    /// <param name="elementType">What one element is.</param>
    /// <param name="rows">Rows of a plane.</param>
    /// <param name="columns">Elements of a row.</param>
    /// <param name="planes">Planes, 1 for a matrix.</param>
    /// <exception cref="MoeException">There is not that much memory.</exception>
    public static MoeBuffer OnHost(MoeElementType elementType, int rows, int columns, int planes = 1) =>
        new(MoeHostMemory.Instance, elementType, rows, columns, planes);

    /// <summary>Reads a whole tensor into a buffer in the process's own memory.</summary>
    /// <param name="tensor">The tensor, of a checkpoint say.</param>
    /// <exception cref="MoeException">There is not that much memory, or the tensor cannot be read.</exception>
    public static MoeBuffer OnHost(MoeStoredTensor tensor)
    {
        ArgumentNullException.ThrowIfNull(tensor);
        var buffer = OnHost(tensor.ElementType, tensor.Rows, tensor.Columns, tensor.Planes);
        try
        {
            for (int plane = 0; plane < tensor.Planes; plane++)
            {
                tensor.ReadRows(plane, 0, tensor.Rows, buffer.View.RowAddress(0, plane));
            }

            return buffer;
        }
        catch
        {
            buffer.Dispose();
            throw;
        }
    }

    /// <summary>Copies the bytes of all elements into the buffer.</summary>
    /// <exception cref="ArgumentException">The length is another than <see cref="ByteCount"/>.</exception>
    public void CopyFromBytes(ReadOnlySpan<byte> bytes)
    {
        RequireLength(bytes.Length, ByteCount, "bytes");
        fixed (byte* source = bytes)
        {
            _memory.CopyIn(Address, (nint)source, ByteCount, stream: 0);
            _memory.Synchronize(stream: 0);
        }
    }

    /// <summary>Copies the bytes of all elements out of the buffer.</summary>
    /// <exception cref="ArgumentException">The length is another than <see cref="ByteCount"/>.</exception>
    public void CopyToBytes(Span<byte> bytes)
    {
        RequireLength(bytes.Length, ByteCount, "bytes");
        fixed (byte* destination = bytes)
        {
            _memory.CopyOut((nint)destination, Address, ByteCount, stream: 0);
            _memory.Synchronize(stream: 0);
        }
    }

    /// <summary>Copies a tensor in host memory, a checkpoint's for one, into the buffer.</summary>
    /// <param name="source">[planes, rows, columns] of the buffer's own sizes and element type; any row stride.</param>
    /// <exception cref="ArgumentException">The tensor is on a device, or has another size or type.</exception>
    public void CopyFrom(MoeTensorView source)
    {
        if (source.Device != MoeDevice.Cpu
            || (source.ElementType, source.Planes, source.Rows, source.Columns) != (View.ElementType, View.Planes, View.Rows, View.Columns))
        {
            throw new ArgumentException(
                $"The tensor has {source.Planes} × {source.Rows} × {source.Columns} of {source.ElementType} on {source.Device}; "
                    + $"{View.Planes} × {View.Rows} × {View.Columns} of {View.ElementType} on {MoeDevice.Cpu} is expected.",
                nameof(source));
        }

        for (int plane = 0; plane < View.Planes; plane++)
        {
            for (int row = 0; row < View.Rows; row++)
            {
                _memory.CopyIn(View.RowAddress(row, plane), source.RowAddress(row, plane), View.RowBytes, stream: 0);
            }
        }

        _memory.Synchronize(stream: 0);
    }

    /// <summary>Copies numbers into a buffer of float32, or rounds them into one of BF16.</summary>
    /// <exception cref="ArgumentException">The number of values is another than <see cref="Length"/>.</exception>
    /// <exception cref="InvalidOperationException">The buffer has neither of these element types.</exception>
    public void CopyFrom(ReadOnlySpan<float> values)
    {
        RequireLength(values.Length, Length, "values");
        switch (View.ElementType)
        {
            case MoeElementType.Float32:
                CopyFromBytes(MemoryMarshal.AsBytes(values));
                break;
            case MoeElementType.BFloat16:
                ushort[] bits = new ushort[values.Length];
                for (int i = 0; i < bits.Length; i++)
                {
                    bits[i] = MoeBFloat16.FromSingle(values[i]);
                }

                CopyFromBytes(MemoryMarshal.AsBytes<ushort>(bits));
                break;
            default:
                throw OtherType("float32 or BF16");
        }
    }

    /// <summary>Copies numbers out of a buffer of float32, or widens those of one of BF16.</summary>
    /// <exception cref="ArgumentException">The number of values is another than <see cref="Length"/>.</exception>
    /// <exception cref="InvalidOperationException">The buffer has neither of these element types.</exception>
    public void CopyTo(Span<float> values)
    {
        RequireLength(values.Length, Length, "values");
        switch (View.ElementType)
        {
            case MoeElementType.Float32:
                CopyToBytes(MemoryMarshal.AsBytes(values));
                break;
            case MoeElementType.BFloat16:
                ushort[] bits = new ushort[values.Length];
                CopyToBytes(MemoryMarshal.AsBytes(bits.AsSpan()));
                for (int i = 0; i < bits.Length; i++)
                {
                    values[i] = MoeBFloat16.ToSingle(bits[i]);
                }

                break;
            default:
                throw OtherType("float32 or BF16");
        }
    }

    /// <summary>Copies whole numbers into a buffer of int32: expert ids, token ids.</summary>
    /// <exception cref="ArgumentException">The number of values is another than <see cref="Length"/>.</exception>
    /// <exception cref="InvalidOperationException">The buffer has another element type.</exception>
    public void CopyFrom(ReadOnlySpan<int> values)
    {
        RequireLength(values.Length, Length, "values");
        Require(MoeElementType.Int32);
        CopyFromBytes(MemoryMarshal.AsBytes(values));
    }

    /// <summary>Copies whole numbers out of a buffer of int32.</summary>
    /// <exception cref="ArgumentException">The number of values is another than <see cref="Length"/>.</exception>
    /// <exception cref="InvalidOperationException">The buffer has another element type.</exception>
    public void CopyTo(Span<int> values)
    {
        RequireLength(values.Length, Length, "values");
        Require(MoeElementType.Int32);
        CopyToBytes(MemoryMarshal.AsBytes(values));
    }

    /// <summary>All elements of a buffer of float32 or BF16, as float32.</summary>
    /// <exception cref="InvalidOperationException">The buffer has neither of these element types.</exception>
    public float[] ToSingles()
    {
        float[] values = new float[Length];
        CopyTo(values);
        return values;
    }

    /// <summary>Sets every byte to zero, and waits.</summary>
    public void Clear()
    {
        _memory.Zero(Address, Math.Max(ByteCount, 1), stream: 0);
        _memory.Synchronize(stream: 0);
    }

    /// <summary>Sets every byte, and waits.</summary>
    public void Fill(byte value)
    {
        byte[] chunk = new byte[Math.Min(ByteCount, 1 << 16)];
        chunk.AsSpan().Fill(value);
        fixed (byte* source = chunk)
        {
            for (long done = 0; done < ByteCount; done += chunk.Length)
            {
                _memory.CopyIn(Address + (nint)done, (nint)source, Math.Min(chunk.Length, ByteCount - done), stream: 0);
            }

            _memory.Synchronize(stream: 0);
        }
    }

    /// <summary>Frees the memory.</summary>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees the memory; a derived class frees its own first.</summary>
    /// <param name="disposing">False where the collector calls.</param>
    protected virtual void Dispose(bool disposing)
    {
        nint address = Interlocked.Exchange(ref _address, 0);
        if (address != 0 && (disposing || _memory is MoeHostMemory))
        {
            _memory.Free(address);
        }
    }

    private nint Address => _address != 0 ? _address : throw new ObjectDisposedException(nameof(MoeBuffer));

    private static void RequireLength(long found, long expected, string what)
    {
        if (found != expected)
        {
            throw new ArgumentException($"{found} {what} were handed in; the buffer has {expected}.");
        }
    }

    private void Require(MoeElementType type)
    {
        if (View.ElementType != type)
        {
            throw OtherType(type.ToString());
        }
    }

    private InvalidOperationException OtherType(string expected) => new($"The buffer is {View.ElementType}; {expected} is expected.");
}
