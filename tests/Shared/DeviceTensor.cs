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

    private readonly IMoeMemory _memory;
    private readonly byte[] _image;
    private readonly nint _address;

    public DeviceTensor(IMoeMemory memory, MoeElementType type, int rows, int columns, int gapElements = 0)
    {
        _memory = memory;
        long stride = (columns + gapElements) * (long)type.ByteSize();
        _image = new byte[(2 * GuardBytes) + (rows * stride)];
        Array.Fill(_image, Garbage);
        _address = memory.Allocate(_image.Length);
        View = new MoeTensorView(_address + GuardBytes, memory.Device, type, rows, columns, stride);
        Upload();
    }

    public MoeTensorView View { get; }

    public static DeviceTensor CopyOf(IMoeMemory memory, MoeTensorView host, int gapElements = 0)
    {
        var tensor = new DeviceTensor(memory, host.ElementType, host.Rows, host.Columns, gapElements);
        for (int row = 0; row < host.Rows; row++)
        {
            new ReadOnlySpan<byte>((void*)host.RowAddress(row), (int)host.RowBytes).CopyTo(tensor.Row(row));
        }

        tensor.Upload();
        return tensor;
    }

    /// <summary>The tensor's elements on the host, dense; fails where something beyond them was written.</summary>
    public MoeBuffer Download()
    {
        fixed (byte* image = _image)
        {
            _memory.CopyOut((nint)image, _address, _image.Length, 0);
            _memory.Synchronize(0);
        }

        var host = MoeBuffer.OnHost(View.ElementType, View.Rows, View.Columns);
        for (int row = 0; row < View.Rows; row++)
        {
            Row(row).CopyTo(new Span<byte>((void*)host.View.RowAddress(row), (int)View.RowBytes));
            Row(row).Fill(Garbage);
        }

        Assert.Equal(-1, Array.FindIndex(_image, value => value != Garbage));
        return host;
    }

    public void Dispose() => _memory.Free(_address);

    private Span<byte> Row(int row) => _image.AsSpan(GuardBytes + (int)(row * View.RowStride), (int)View.RowBytes);

    private void Upload()
    {
        fixed (byte* image = _image)
        {
            _memory.CopyIn(_address, (nint)image, _image.Length, 0);
            _memory.Synchronize(0);
        }
    }
}
