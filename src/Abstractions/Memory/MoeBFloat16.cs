using System.Runtime.CompilerServices;

namespace Moe.Plugins;

/// <summary>Converts between float32 and BF16 bits, the upper half of a binary32.</summary>
public static class MoeBFloat16
{
    /// <summary>Rounds to the nearest BF16, ties to even; a NaN stays one, quiet.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ushort FromSingle(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        uint rounded = (bits + 0x7FFFu + ((bits >> 16) & 1)) >> 16;
        return float.IsNaN(value) ? (ushort)((bits >> 16) | 0x40) : (ushort)rounded;
    }

    /// <summary>Widens BF16 bits; exact.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static float ToSingle(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);
}
