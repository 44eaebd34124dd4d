namespace Moe.Plugins.Conformance;

/// <summary>
/// A tensor in a method's memory with garbage around it and between its rows. The garbage is all bits set, which is NaN in both float types:
/// what a method reads where it must not shows in its result, and what it writes there is seen.
/// </summary>
internal sealed unsafe class GuardedTensor : IDisposable
{
    private const int GuardBytes = 512;
    private const byte Garbage = 0xFF;

    private readonly MoeBuffer _memory;
    private readonly byte[] _image;
    private readonly string _name;

    /// <summary>Makes a tensor of garbage.</summary>
    public GuardedTensor(IMoeMemory memory, string name, MoeElementType type, int rows, int columns, int gap)
    {
        _name = name;
        long stride = (columns + gap) * (long)type.ByteSize();
        _image = new byte[(2 * GuardBytes) + (rows * stride)];
        Array.Fill(_image, Garbage);
        _memory = new MoeBuffer(memory, MoeElementType.UInt8, 1, _image.Length);
        View = new MoeTensorView(_memory.View.Address + GuardBytes, memory.Device, type, rows, columns, stride);
        _memory.CopyFromBytes(_image);
    }

    /// <summary>The tensor.</summary>
    public MoeTensorView View { get; }

    /// <summary>A copy of a host's tensor, wider by columns of zeros where asked for.</summary>
    public static GuardedTensor CopyOf(IMoeMemory memory, string name, MoeTensorView host, int columns, int gap)
    {
        var tensor = new GuardedTensor(memory, name, host.ElementType, host.Rows, columns, gap);
        for (int row = 0; row < host.Rows; row++)
        {
            Span<byte> target = tensor.Row(row);
            target.Clear();
            new ReadOnlySpan<byte>((void*)host.RowAddress(row), (int)host.RowBytes).CopyTo(target);
        }

        tensor._memory.CopyFromBytes(tensor._image);
        return tensor;
    }

    /// <summary>The first columns on the host, dense.</summary>
    public MoeBuffer Download(int columns, out string? trespass)
    {
        byte[] now = Read();
        trespass = null;
        for (int i = 0; i < now.Length && trespass is null; i++)
        {
            trespass = now[i] == Garbage || IsInside(i) ? null : $"{_name}: {Place(i)} was written";
        }

        var host = MoeBuffer.OnHost(View.ElementType, View.Rows, columns);
        for (int row = 0; row < View.Rows; row++)
        {
            now.AsSpan(Start(row), (int)host.View.RowBytes).CopyTo(new Span<byte>((void*)host.View.RowAddress(row), (int)host.View.RowBytes));
        }

        return host;
    }

    /// <summary>What is no longer as it was uploaded; null where nothing is.</summary>
    public string? Change()
    {
        int at = Read().AsSpan().CommonPrefixLength(_image);
        return at == _image.Length ? null : $"{_name}: {Place(at)} was changed";
    }

    public void Dispose() => _memory.Dispose();

    private Span<byte> Row(int row) => _image.AsSpan(Start(row), (int)View.RowBytes);

    private int Start(int row) => GuardBytes + (int)(row * View.RowStride);

    private bool IsInside(int at)
    {
        long offset = at - GuardBytes;
        return offset >= 0 && offset < View.Rows * View.RowStride && offset % View.RowStride < View.RowBytes;
    }

    private string Place(int at)
    {
        long offset = at - GuardBytes;
        if (offset < 0)
        {
            return $"{-offset} bytes before it";
        }

        long row = View.RowStride == 0 ? 0 : offset / View.RowStride;
        return row >= View.Rows
            ? $"{offset - (View.Rows * View.RowStride)} bytes behind its last row"
            : $"row {row}, byte {offset % View.RowStride} of {View.RowBytes}";
    }

    private byte[] Read()
    {
        byte[] now = new byte[_image.Length];
        _memory.CopyToBytes(now);
        return now;
    }
}
