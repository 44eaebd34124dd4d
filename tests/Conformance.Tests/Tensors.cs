namespace Moe.Plugins.Conformance.Tests;

/// <summary>Host tensors as arrays.</summary>
internal static unsafe class Tensors
{
    public static int[] Int32(MoeTensorView view, int row) => new ReadOnlySpan<int>((void*)view.RowAddress(row), view.Columns).ToArray();

    public static float[] Single(MoeTensorView view, int row, int plane = 0) => view.ElementType == MoeElementType.Float32
        ? new ReadOnlySpan<float>((void*)view.RowAddress(row, plane), view.Columns).ToArray()
        : [.. new ReadOnlySpan<ushort>((void*)view.RowAddress(row, plane), view.Columns).ToArray().Select(bits => BitConverter.UInt32BitsToSingle((uint)bits << 16))];

    public static byte[] Bytes(MoeTensorView view) =>
        new ReadOnlySpan<byte>((void*)view.Address, checked((int)(view.Planes * view.PlaneStride))).ToArray();

    public static void Write<T>(MoeTensorView view, int row, T[] values, int plane = 0)
        where T : unmanaged => values.CopyTo(new Span<T>((void*)view.RowAddress(row, plane), values.Length));

    /// <summary>BF16 numbers whose lower half is 0 anyway.</summary>
    public static ushort[] BFloat16(params float[] values) => [.. values.Select(value => (ushort)(BitConverter.SingleToUInt32Bits(value) >> 16))];
}
