using System.Runtime.InteropServices;

namespace Moe.Plugins;

/// <summary>
/// A tensor that is read when it is needed: [planes, rows, columns], one plane per expert. It may lie in a file, in memory, or in many
/// tensors that are stacked; nothing is copied to bring them together.
/// </summary>
/// <remarks>
/// Reads copy into memory of the caller's, so that a file that is cut short while it is read is an error and not the end of the
/// process. All members may be called from several threads at once.
/// </remarks>
public abstract unsafe class MoeStoredTensor
{
    /// <summary>Describes a tensor.</summary>
    /// <param name="elementType">What one element is.</param>
    /// <param name="planes">Planes, 1 for a matrix.</param>
    /// <param name="rows">Rows of a plane.</param>
    /// <param name="columns">Elements of a row.</param>
    protected MoeStoredTensor(MoeElementType elementType, int planes, int rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(planes);
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        ElementType = elementType;
        Planes = planes;
        Rows = rows;
        Columns = columns;
        ElementSize = elementType.ByteSize();
    }

    /// <summary>What one element is.</summary>
    public MoeElementType ElementType { get; }

    /// <summary>Number of planes (experts); 1 for a matrix.</summary>
    public int Planes { get; }

    /// <summary>Rows of one plane.</summary>
    public int Rows { get; }

    /// <summary>Elements of one row.</summary>
    public int Columns { get; }

    /// <summary>Bytes of one row.</summary>
    public long RowBytes => (long)Columns * ElementSize;

    /// <summary>Bytes of one plane.</summary>
    public long PlaneBytes => Rows * RowBytes;

    /// <summary>Bytes of all planes.</summary>
    public long ByteCount => Planes * PlaneBytes;

    private int ElementSize { get; }

    /// <summary>The tensor that a view in host memory describes; it is read where it lies.</summary>
    /// <exception cref="ArgumentException">The view is empty, or on a device.</exception>
    public static implicit operator MoeStoredTensor(MoeTensorView view) => FromView(view);

    /// <summary>The tensor that a view in host memory describes. The memory must stay as long as the tensor is read.</summary>
    /// <exception cref="ArgumentException">The view is empty, or on a device.</exception>
    public static MoeStoredTensor FromView(MoeTensorView view)
    {
        if (view.IsEmpty || view.Device.Kind != MoeDeviceKind.Cpu)
        {
            throw new ArgumentException($"A tensor in host memory is expected; this one is {(view.IsEmpty ? "empty" : $"on {view.Device}")}.", nameof(view));
        }

        return new ViewTensor(view);
    }

    /// <summary>A tensor of numbers that are kept in an array: one plane.</summary>
    /// <exception cref="ArgumentException">There are not rows × columns values.</exception>
    public static MoeStoredTensor FromArray(float[] values, int rows, int columns)
    {
        ArgumentNullException.ThrowIfNull(values);
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        return values.Length == (long)rows * columns
            ? new ArrayTensor(values, rows, columns)
            : throw new ArgumentException($"There are {values.Length} values; {rows} × {columns} are expected.", nameof(values));
    }

    /// <summary>Tensors of one plane each, of one type and size, as the planes of one: an expert's tensor for each expert.</summary>
    /// <exception cref="ArgumentException">There is none, or they differ.</exception>
    public static MoeStoredTensor Stack(IReadOnlyList<MoeStoredTensor> planes)
    {
        ArgumentCheck.ThrowIfAnyNull(planes);
        if (planes.Count == 0 || planes.Any(plane =>
            plane.Planes != 1 || plane.ElementType != planes[0].ElementType || plane.Rows != planes[0].Rows || plane.Columns != planes[0].Columns))
        {
            throw new ArgumentException("Tensors of one plane, of one type and size, are expected.", nameof(planes));
        }

        return new StackedTensor([.. planes]);
    }

    /// <summary>Copies a rectangle of one plane to memory, row after row.</summary>
    /// <param name="plane">The plane.</param>
    /// <param name="firstRow">The first row.</param>
    /// <param name="rowCount">Rows.</param>
    /// <param name="firstColumn">The first element of each row.</param>
    /// <param name="columnCount">Elements of each row.</param>
    /// <param name="destination">Where the first element goes, in host memory.</param>
    /// <param name="destinationStride">Bytes from one row to the next there; 0 for dense.</param>
    /// <exception cref="ArgumentOutOfRangeException">The rectangle is not within the plane.</exception>
    /// <exception cref="MoeException">The file cannot be read, or is shorter than it was.</exception>
    public void Read(int plane, int firstRow, int rowCount, int firstColumn, int columnCount, nint destination, long destinationStride = 0)
    {
        RequireRange(plane, 1, Planes, nameof(plane));
        RequireRange(firstRow, rowCount, Rows, nameof(firstRow), nameof(rowCount));
        RequireRange(firstColumn, columnCount, Columns, nameof(firstColumn), nameof(columnCount));
        ArgumentOutOfRangeException.ThrowIfNegative(destinationStride);
        if (rowCount != 0 && columnCount != 0)
        {
            long stride = destinationStride == 0 ? (long)columnCount * ElementSize : destinationStride;
            ReadCore(plane, firstRow, rowCount, (long)firstColumn * ElementSize, (long)columnCount * ElementSize, destination, stride);
        }
    }

    /// <summary>Copies whole rows of one plane to memory.</summary>
    /// <param name="plane">The plane.</param>
    /// <param name="firstRow">The first row.</param>
    /// <param name="rowCount">Rows.</param>
    /// <param name="destination">Where the first element goes, in host memory.</param>
    /// <param name="destinationStride">Bytes from one row to the next there; 0 for dense.</param>
    /// <exception cref="ArgumentOutOfRangeException">The rows are not within the plane.</exception>
    /// <exception cref="MoeException">The file cannot be read, or is shorter than it was.</exception>
    public void ReadRows(int plane, int firstRow, int rowCount, nint destination, long destinationStride = 0) =>
        Read(plane, firstRow, rowCount, 0, Columns, destination, destinationStride);

    /// <summary>Widens whole rows of BF16, FP16 or float32 to float32, dense.</summary>
    /// <param name="plane">The plane.</param>
    /// <param name="firstRow">The first row.</param>
    /// <param name="rowCount">Rows.</param>
    /// <param name="destination">Where the first float goes, in host memory.</param>
    /// <exception cref="InvalidOperationException">The tensor has another element type.</exception>
    /// <exception cref="MoeException">The file cannot be read, or is shorter than it was.</exception>
    public void ReadSingles(int plane, int firstRow, int rowCount, nint destination)
    {
        RequireRange(plane, 1, Planes, nameof(plane));
        RequireRange(firstRow, rowCount, Rows, nameof(firstRow), nameof(rowCount));
        if (ElementType == MoeElementType.Float32)
        {
            ReadRows(plane, firstRow, rowCount, destination);
            return;
        }

        using var raw = new Scratch(RowBytes);
        for (int row = 0; row < rowCount; row++)
        {
            ReadRows(plane, firstRow + row, 1, raw.Address);
            float* target = (float*)destination + ((long)row * Columns);
            switch (ElementType)
            {
                case MoeElementType.BFloat16:
                    for (int i = 0; i < Columns; i++)
                    {
                        target[i] = MoeBFloat16.ToSingle(((ushort*)raw.Address)[i]);
                    }

                    break;
                case MoeElementType.Float16:
                    for (int i = 0; i < Columns; i++)
                    {
                        target[i] = (float)((Half*)raw.Address)[i];
                    }

                    break;
                default:
                    throw new InvalidOperationException($"The tensor is {ElementType}; BFloat16, Float16 or Float32 is expected.");
            }
        }
    }

    /// <summary>All rows of one plane of BF16, FP16 or float32, widened.</summary>
    /// <exception cref="InvalidOperationException">The tensor has another element type.</exception>
    /// <exception cref="MoeException">The file cannot be read, or is shorter than it was.</exception>
    public float[] ToSingles(int plane = 0)
    {
        RequireRange(plane, 1, Planes, nameof(plane));
        float[] values = new float[checked(Rows * Columns)];
        fixed (float* target = values)
        {
            ReadSingles(plane, 0, Rows, (nint)target);
        }

        return values;
    }

    /// <summary>A part of the tensor, as a tensor: a range of planes, of rows and of columns.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A range is not within the tensor.</exception>
    public MoeStoredTensor Slice(int firstPlane, int planeCount, int firstRow, int rowCount, int firstColumn, int columnCount)
    {
        RequireRange(firstPlane, planeCount, Planes, nameof(firstPlane), nameof(planeCount));
        RequireRange(firstRow, rowCount, Rows, nameof(firstRow), nameof(rowCount));
        RequireRange(firstColumn, columnCount, Columns, nameof(firstColumn), nameof(columnCount));
        return planeCount == Planes && rowCount == Rows && columnCount == Columns
            ? this
            : new SlicedTensor(this, firstPlane, planeCount, firstRow, rowCount, firstColumn, columnCount);
    }

    /// <summary>Type and sizes, <c>BFloat16 [32, 5760, 2880]</c>.</summary>
    public override string ToString() => $"{ElementType} [{Planes}, {Rows}, {Columns}]";

    /// <summary>Copies bytes of rows to memory; the ranges were checked, and hold something.</summary>
    /// <param name="plane">The plane.</param>
    /// <param name="firstRow">The first row.</param>
    /// <param name="rowCount">Rows, at least 1.</param>
    /// <param name="rowOffset">Bytes of each row that are left out before.</param>
    /// <param name="byteCount">Bytes of each row that are copied, at least 1.</param>
    /// <param name="destination">Where the first byte goes.</param>
    /// <param name="destinationStride">Bytes from one row to the next there.</param>
    /// <exception cref="MoeException">The file cannot be read, or is shorter than it was.</exception>
    protected abstract void ReadCore(
        int plane, int firstRow, int rowCount, long rowOffset, long byteCount, nint destination, long destinationStride);

    private static void RequireRange(int first, int count, int size, string name, string countName = "")
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count, countName);
        if (first < 0 || first > size - count)
        {
            throw new ArgumentOutOfRangeException(name, first, $"{count} from {first} on are not within {size}.");
        }
    }

    /// <summary>Native memory for the length of a call.</summary>
    internal readonly struct Scratch(long byteCount) : IDisposable
    {
        public nint Address { get; } = MoeHostMemory.Instance.Allocate(Math.Max(1, byteCount));

        public void Dispose() => MoeHostMemory.Instance.Free(Address);
    }

    private sealed class ViewTensor(MoeTensorView view) : MoeStoredTensor(view.ElementType, view.Planes, view.Rows, view.Columns)
    {
        protected override void ReadCore(
            int plane, int firstRow, int rowCount, long rowOffset, long byteCount, nint destination, long destinationStride) =>
            MoeHostMemory.Instance.Copy2D(
                destination, destinationStride, view.RowAddress(firstRow, plane) + (nint)rowOffset, view.RowStride, byteCount, rowCount, stream: 0);
    }

    private sealed class ArrayTensor(float[] values, int rows, int columns) : MoeStoredTensor(MoeElementType.Float32, 1, rows, columns)
    {
        protected override void ReadCore(
            int plane, int firstRow, int rowCount, long rowOffset, long byteCount, nint destination, long destinationStride)
        {
            ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(values.AsSpan());
            for (int row = 0; row < rowCount; row++)
            {
                bytes.Slice((int)(((firstRow + row) * RowBytes) + rowOffset), (int)byteCount)
                    .CopyTo(new Span<byte>((void*)(destination + (nint)(row * destinationStride)), (int)byteCount));
            }
        }
    }

    private sealed class StackedTensor(MoeStoredTensor[] planes)
        : MoeStoredTensor(planes[0].ElementType, planes.Length, planes[0].Rows, planes[0].Columns)
    {
        protected override void ReadCore(
            int plane, int firstRow, int rowCount, long rowOffset, long byteCount, nint destination, long destinationStride) =>
            planes[plane].ReadCore(0, firstRow, rowCount, rowOffset, byteCount, destination, destinationStride);
    }

    private sealed class SlicedTensor(
        MoeStoredTensor whole, int firstPlane, int planeCount, int firstRow, int rowCount, int firstColumn, int columnCount)
        : MoeStoredTensor(whole.ElementType, planeCount, rowCount, columnCount)
    {
        protected override void ReadCore(
            int plane, int first, int count, long rowOffset, long byteCount, nint destination, long destinationStride) =>
            whole.ReadCore(
                firstPlane + plane,
                firstRow + first,
                count,
                ((long)firstColumn * ElementSize) + rowOffset,
                byteCount,
                destination,
                destinationStride);
    }
}
