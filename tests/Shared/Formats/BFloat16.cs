namespace Moe.Plugins.Tests;

/// <summary>BF16: the upper half of an IEEE 754 binary32.</summary>
internal static class BFloat16
{
    /// <summary>Rounds to nearest, ties to even, by way of float32; not for NaN whose payload ends in ones.</summary>
    public static ushort FromDouble(double value)
    {
        uint bits = BitConverter.SingleToUInt32Bits((float)value);
        return (ushort)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    }

    public static float ToSingle(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);
}
