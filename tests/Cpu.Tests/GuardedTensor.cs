using Moe.Plugins.Conformance;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>
/// A tensor whose rows lie apart, with bytes of 0xFF between, before and behind them: NaN in BF16 and in float32, so that a value read
/// from there spoils a result, and a value written there shows.
/// </summary>
internal sealed unsafe class GuardedTensor : IDisposable
{
    private const byte Guard = 0xFF;
    private const int Margin = 64;

    private readonly MoeBuffer _memory;

    public GuardedTensor(MoeElementType type, int rows, int columns, int gapElements = 5)
    {
        long stride = (long)(columns + gapElements) * type.ByteSize();
        _memory = MoeBuffer.OnHost(MoeElementType.UInt8, 1, checked((int)((rows * stride) + (2 * Margin))));
        _memory.Fill(Guard);
        View = new MoeTensorView(_memory.View.Address + Margin, MoeDevice.Cpu, type, rows, columns, stride);
    }

    public MoeTensorView View { get; }

    public static GuardedTensor CopyOf(MoeTensorView source, MoeElementType type, int gapElements = 5)
    {
        var copy = new GuardedTensor(type, source.Rows, source.Columns, gapElements);
        for (int row = 0; row < source.Rows; row++)
        {
            if (source.ElementType == type)
            {
                Row<byte>(source, row).CopyTo(Row<byte>(copy.View, row));
            }
            else
            {
                Tensors.Floats(source, row).CopyTo(Row<float>(copy.View, row));
            }
        }

        return copy;
    }

    public Span<T> Row<T>(int row)
        where T : unmanaged => Row<T>(View, row);

    /// <summary>All values, without the gaps.</summary>
    public T[] ToArray<T>()
        where T : unmanaged
    {
        var values = new List<T>();
        for (int row = 0; row < View.Rows; row++)
        {
            values.AddRange(Row<T>(row));
        }

        return [.. values];
    }

    public void CheckGuards()
    {
        var all = new ReadOnlySpan<byte>((void*)_memory.View.Address, _memory.View.Columns);
        Assert.Equal(-1, all[..Margin].IndexOfAnyExcept(Guard));
        Assert.Equal(-1, all[^Margin..].IndexOfAnyExcept(Guard));
        for (int row = 0; row < View.Rows; row++)
        {
            var gap = new ReadOnlySpan<byte>((void*)(View.RowAddress(row) + (nint)View.RowBytes), (int)(View.RowStride - View.RowBytes));
            Assert.Equal(-1, gap.IndexOfAnyExcept(Guard));
        }
    }

    public void Dispose() => _memory.Dispose();

    private static Span<T> Row<T>(MoeTensorView view, int row)
        where T : unmanaged => new((void*)view.RowAddress(row), (int)(view.RowBytes / sizeof(T)));
}
