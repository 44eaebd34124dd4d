using Moe.Plugins.Conformance;

namespace Moe.Plugins.Tests;

/// <summary>
/// A tensor on the layer's device with garbage (all bits set, which is NaN in both float types) around it and between its rows, so that
/// what a kernel reads or writes where it must not is seen.
/// </summary>
internal sealed unsafe class DeviceTensor : IDisposable
{
    private const int GuardBytes = 512;
    private const byte Garbage = 0xFF;

    private readonly MoeBuffer _memory;
    private readonly byte[] _image;

    public DeviceTensor(IMoeMemory memory, MoeElementType type, int rows, int columns, int gapElements = 0)
    {
        long stride = (columns + gapElements) * (long)type.ByteSize();
        _image = new byte[(2 * GuardBytes) + (rows * stride)];
        Array.Fill(_image, Garbage);
        _memory = new MoeBuffer(memory, MoeElementType.UInt8, 1, _image.Length);
        View = new MoeTensorView(_memory.View.Address + GuardBytes, memory.Device, type, rows, columns, stride);
        _memory.CopyFromBytes(_image);
    }

    public MoeTensorView View { get; }

    public static DeviceTensor CopyOf(IMoeMemory memory, MoeTensorView host, int gapElements = 0)
    {
        var tensor = new DeviceTensor(memory, host.ElementType, host.Rows, host.Columns, gapElements);
        for (int row = 0; row < host.Rows; row++)
        {
            new ReadOnlySpan<byte>((void*)host.RowAddress(row), (int)host.RowBytes).CopyTo(tensor.Row(row));
        }

        tensor._memory.CopyFromBytes(tensor._image);
        return tensor;
    }

    /// <summary>The tensor's elements on the host, dense; fails where something beyond them was written.</summary>
    public MoeBuffer Download()
    {
        _memory.CopyToBytes(_image);
        var host = MoeBuffer.OnHost(View.ElementType, View.Rows, View.Columns);
        for (int row = 0; row < View.Rows; row++)
        {
            Row(row).CopyTo(new Span<byte>((void*)host.View.RowAddress(row), (int)View.RowBytes));
            Row(row).Fill(Garbage);
        }

        Assert.Equal(-1, Array.FindIndex(_image, value => value != Garbage));
        return host;
    }

    public void Dispose() => _memory.Dispose();

    private Span<byte> Row(int row) => _image.AsSpan(GuardBytes + (int)(row * View.RowStride), (int)View.RowBytes);
}
