namespace Moe.Plugins;

/// <summary>
/// A tensor that somebody else owns: where it is and how it lies. Any .NET GPU library can fill one in.
/// A view with one plane is a matrix [rows, columns]; with more it is [planes, rows, columns], one plane an expert.
/// The elements of a row are adjacent; what lies between the end of a row and the start of the next belongs to the owner
/// and is neither read nor written.
/// </summary>
public readonly record struct MoeTensorView
{
    /// <summary>Describes a tensor. The default strides are dense.</summary>
    /// <param name="address">Address of element [0, 0, 0].</param>
    /// <param name="device">The memory that <paramref name="address"/> means.</param>
    /// <param name="elementType">What one element is.</param>
    /// <param name="rows">Rows of a plane.</param>
    /// <param name="columns">Elements of a row.</param>
    /// <param name="rowStride">Bytes from one row to the next; 0 stands for dense.</param>
    /// <param name="planes">Planes, 1 for a matrix.</param>
    /// <param name="planeStride">Bytes from one plane to the next; 0 stands for <paramref name="rows"/> × the row stride.</param>
    /// <exception cref="ArgumentOutOfRangeException">
    /// A size is negative, or a stride is shorter than what it steps over or leads to where no memory is.
    /// </exception>
    /// <exception cref="ArgumentException">The tensor has elements and no address.</exception>
    public MoeTensorView(
        nint address,
        MoeDevice device,
        MoeElementType elementType,
        int rows,
        int columns,
        long rowStride = 0,
        int planes = 1,
        long planeStride = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        ArgumentOutOfRangeException.ThrowIfNegative(planes);
        ArgumentOutOfRangeException.ThrowIfNegative(planeStride);

        long rowBytes = (long)columns * elementType.ByteSize(nameof(elementType));
        RowStride = rowStride == 0 ? rowBytes : rowStride;
        ArgumentOutOfRangeException.ThrowIfLessThan(RowStride, rowBytes, nameof(rowStride));
        Int128 plane = (Int128)rows * RowStride;
        RequireInMemory(address + plane, rowStride, nameof(rowStride));
        PlaneStride = planeStride == 0 ? (long)plane : planeStride;
        if (planes > 1)
        {
            ArgumentOutOfRangeException.ThrowIfLessThan(PlaneStride, (long)plane, nameof(planeStride));
            RequireInMemory(address + ((Int128)planes * PlaneStride), planeStride, nameof(planeStride));
        }

        if (address == 0 && (long)rows * columns * planes != 0)
        {
            throw new ArgumentException("A tensor that has elements needs an address.", nameof(address));
        }

        Address = address;
        Device = device;
        ElementType = elementType;
        Planes = planes;
        Rows = rows;
        Columns = columns;
    }

    private static void RequireInMemory(Int128 end, long stride, string name)
    {
        if (end > nint.MaxValue)
        {
            throw new ArgumentOutOfRangeException(name, stride, "The tensor would end where no address leads.");
        }
    }

    /// <summary>Address of the first element.</summary>
    public nint Address { get; }

    /// <summary>The memory that <see cref="Address"/> means.</summary>
    public MoeDevice Device { get; }

    /// <summary>What one element is.</summary>
    public MoeElementType ElementType { get; }

    /// <summary>Number of planes (experts); 1 for a matrix.</summary>
    public int Planes { get; }

    /// <summary>Rows of one plane.</summary>
    public int Rows { get; }

    /// <summary>Elements of one row.</summary>
    public int Columns { get; }

    /// <summary>Bytes from the start of one row to the start of the next.</summary>
    public long RowStride { get; }

    /// <summary>Bytes from the start of one plane to the start of the next.</summary>
    public long PlaneStride { get; }

    /// <summary>Bytes of one row's elements, without what follows them up to the stride.</summary>
    public long RowBytes => (long)Columns * ElementType.ByteSize();

    /// <summary>Whether this is the default value: no tensor at all.</summary>
    public bool IsEmpty => Address == 0;

    private long End => RowAddress(Rows - 1) + RowBytes;

    /// <summary>Address of row <paramref name="row"/> of plane <paramref name="plane"/>; not range-checked.</summary>
    public nint RowAddress(int row, int plane = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(row);
        ArgumentOutOfRangeException.ThrowIfNegative(plane);
        return checked((nint)(Address + (plane * PlaneStride) + (row * RowStride)));
    }

    /// <summary>
    /// Whether two matrices share bytes and are not the same one: what is written through one would be read through the other. The rows of one may lie
    /// between those of the other.
    /// </summary>
    /// <param name="other">The other matrix. Of tensors with several planes, the first counts.</param>
    public bool OverlapsInPart(in MoeTensorView other)
    {
        if (Device != other.Device || Rows == 0 || other.Rows == 0 || Address >= other.End || other.Address >= End)
        {
            return false;
        }

        if (Address == other.Address && RowBytes == other.RowBytes && RowStride == other.RowStride)
        {
            return false;
        }

        for (int i = 0, j = 0; i < Rows && j < other.Rows;)
        {
            nint own = RowAddress(i);
            nint its = other.RowAddress(j);
            if (own < its + other.RowBytes && its < own + RowBytes)
            {
                return true;
            }

            (i, j) = own < its ? (i + 1, j) : (i, j + 1);
        }

        return false;
    }

    /// <summary>The same tensor, its first <paramref name="count"/> columns only.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="count"/> is negative or more than <see cref="Columns"/>.</exception>
    public MoeTensorView FirstColumns(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Columns);
        return new MoeTensorView(Address, Device, ElementType, Rows, count, RowStride, Planes, PlaneStride);
    }

    /// <summary>The same tensor, its first <paramref name="count"/> rows only.</summary>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="count"/> is negative or more than <see cref="Rows"/>.</exception>
    public MoeTensorView FirstRows(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Rows);
        return new MoeTensorView(Address, Device, ElementType, count, Columns, RowStride, Planes, PlaneStride);
    }
}
