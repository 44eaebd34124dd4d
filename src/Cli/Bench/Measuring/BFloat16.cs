namespace Moe.Plugins.Cli;

/// <summary>BF16 values in host memory: the upper half of an IEEE 754 binary32.</summary>
internal static class BFloat16
{
    /// <summary>Rounds a finite number to nearest, ties to even.</summary>
    public static ushort FromSingle(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        return (ushort)((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
    }

    public static float ToSingle(ushort value) => BitConverter.UInt32BitsToSingle((uint)value << 16);

    public static ushort Negate(ushort value) => (ushort)(value ^ 0x8000);

    /// <summary>The elements of a dense matrix in host memory.</summary>
    public static unsafe Span<ushort> Span(MoeTensorView view) => new((void*)view.Address, checked(view.Rows * view.Columns));

    /// <summary>The elements of one row of a matrix in host memory.</summary>
    public static unsafe Span<ushort> Row(MoeTensorView view, int row) => new((void*)view.RowAddress(row), view.Columns);
}
