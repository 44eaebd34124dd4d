using System.Buffers;
using Microsoft.Win32.SafeHandles;

namespace Moe.Plugins.Checkpoints;

/// <summary>A tensor's bytes in its file, read where the contract asks for them.</summary>
/// <remarks>
/// Elements may lie at any byte, since the format aligns nothing: they are copied before anybody reads them as numbers.
/// </remarks>
internal sealed unsafe class SafetensorsData : MoeStoredTensor
{
    /// <summary>Rows that lie apart are fetched together, as many as fit into so many bytes.</summary>
    private const int BufferBytes = 1 << 20;

    /// <summary>From so many bytes on a piece of a row is fetched alone: the call costs less than fetching what lies between.</summary>
    private const int PieceBytes = 1 << 14;

    /// <summary>The most that one read asks for; a span has an int for its length.</summary>
    private const int MostAtOnce = 1 << 30;

    private readonly string _path;
    private readonly SafetensorsTensor _tensor;
    private readonly SafeFileHandle _handle;
    private readonly long _start;

    private SafetensorsData(
        string path, SafetensorsTensor tensor, SafeFileHandle handle, long start, MoeElementType type, int planes, int rows, int columns)
        : base(type, planes, rows, columns)
    {
        _path = path;
        _tensor = tensor;
        _handle = handle;
        _start = start;
    }

    /// <summary>Places a tensor's dimensions, planes first.</summary>
    /// <exception cref="MoeException">The contract has no such element type, or a size is beyond 2³¹ − 1.</exception>
    public static SafetensorsData Create(string path, SafetensorsTensor tensor, SafeFileHandle handle, long dataStart)
    {
        if (tensor.Type.ElementType() is not MoeElementType elementType)
        {
            throw new MoeException(
                MoeReason.Checkpoint,
                $"Tensor '{PlainText.Of(tensor.Name)}' of '{PlainText.Of(path)}' is {tensor}; "
                + "BF16, F16, F32, U8, I8, U32, F8_E4M3, F8_E8M0, I32 or I64 is expected.");
        }

        IReadOnlyList<long> shape = tensor.Shape;
        long planes = shape.Count > 2 ? shape[0] : 1;
        long rows = shape.Count > 2 ? shape[1] : shape.Count == 2 ? shape[0] : 1;
        UInt128 columns = (UInt128)(tensor.Type.Bits() / 8 / elementType.ByteSize());
        foreach (long size in shape.Skip(Math.Min(2, shape.Count - 1)))
        {
            // A size of 0 anywhere makes the tensor empty, so that the product of the others need not fit.
            columns = UInt128.Min(columns * (UInt128)size, long.MaxValue);
        }

        // Of an empty tensor the sizes themselves can be beyond any memory.
        bool fits = planes <= int.MaxValue && rows <= int.MaxValue && columns <= int.MaxValue
            && (UInt128)rows * columns * (UInt128)elementType.ByteSize() <= long.MaxValue;
        return fits
            ? new SafetensorsData(path, tensor, handle, dataStart + tensor.Offset, elementType, (int)planes, (int)rows, (int)columns)
            : throw new MoeException(
                MoeReason.Checkpoint,
                $"Tensor '{PlainText.Of(tensor.Name)}' of '{PlainText.Of(path)}' is {tensor}; sizes up to {int.MaxValue} are expected.");
    }

    /// <inheritdoc/>
    protected override void ReadCore(
        int plane, int firstRow, int rowCount, long rowOffset, long byteCount, nint destination, long destinationStride)
    {
        long start = (plane * PlaneBytes) + (firstRow * RowBytes) + rowOffset;
        if (rowCount == 1 || (byteCount == RowBytes && destinationStride == byteCount))
        {
            ReadBytes(start, rowCount * byteCount, destination);
        }
        else if (byteCount >= PieceBytes || RowBytes > BufferBytes)
        {
            for (int row = 0; row < rowCount; row++)
            {
                ReadBytes(start + (row * RowBytes), byteCount, destination + (nint)(row * destinationStride));
            }
        }
        else
        {
            ReadScattered(start, rowCount, (int)byteCount, destination, destinationStride);
        }
    }

    private void ReadScattered(long start, int rowCount, int byteCount, nint destination, long destinationStride)
    {
        int rowBytes = (int)RowBytes;
        int rowsAtOnce = Math.Min(rowCount, BufferBytes / rowBytes);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(rowsAtOnce * rowBytes);
        try
        {
            for (int first = 0; first < rowCount; first += rowsAtOnce)
            {
                int rows = Math.Min(rowsAtOnce, rowCount - first);
                Span<byte> read = buffer.AsSpan(0, ((rows - 1) * rowBytes) + byteCount);
                ModelFile.ReadExactly(_handle, read, _start + start + ((long)first * rowBytes), _path, _tensor);
                for (int row = 0; row < rows; row++)
                {
                    read.Slice(row * rowBytes, byteCount)
                        .CopyTo(new Span<byte>((void*)(destination + (nint)((first + row) * destinationStride)), byteCount));
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private void ReadBytes(long start, long byteCount, nint destination)
    {
        for (long done = 0; done < byteCount;)
        {
            int count = (int)Math.Min(MostAtOnce, byteCount - done);
            ModelFile.ReadExactly(_handle, new Span<byte>((void*)(destination + (nint)done), count), _start + start + done, _path, _tensor);
            done += count;
        }
    }
}
