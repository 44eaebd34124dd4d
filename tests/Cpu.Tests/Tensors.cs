namespace Moe.Plugins.Cpu.Tests;

/// <summary>Host tensors as arrays and spans.</summary>
internal static unsafe class Tensors
{
    public static float[] Floats(MoeTensorView view, int row) => view.ElementType == MoeElementType.Float32
        ? new ReadOnlySpan<float>((void*)view.RowAddress(row), view.Columns).ToArray()
        : [.. new ReadOnlySpan<ushort>((void*)view.RowAddress(row), view.Columns).ToArray().Select(bits => BitConverter.UInt32BitsToSingle((uint)bits << 16))];

    /// <summary>One row of a plane, to be read and changed in place.</summary>
    public static Span<T> Row<T>(MoeTensorView view, int row, int plane = 0)
        where T : unmanaged => new((void*)view.RowAddress(row, plane), (int)(view.RowBytes / sizeof(T)));

    /// <summary>A BF16 number; the lower half of <paramref name="value"/> is cut off.</summary>
    public static ushort BFloat16(float value) => (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16);
}
