using System.Runtime.CompilerServices;

namespace Moe.Plugins.Cpu;

/// <summary>Converts between float32 and the contract's activation types.</summary>
internal static unsafe class Floats
{
    /// <summary>One element of a BF16 or float32 tensor.</summary>
    public static float Read(in MoeTensorView view, int row, int column) => view.ElementType == MoeElementType.Float32
        ? ((float*)view.RowAddress(row))[column]
        : Widen(((ushort*)view.RowAddress(row))[column]);

    /// <summary>Copies a row of a BF16 or float32 tensor to every <paramref name="stride"/>th float of a buffer.</summary>
    public static void ReadRow(in MoeTensorView view, int row, float* target, int stride)
    {
        if (view.ElementType == MoeElementType.Float32)
        {
            float* source = (float*)view.RowAddress(row);
            for (int i = 0; i < view.Columns; i++)
            {
                target[(long)i * stride] = source[i];
            }
        }
        else
        {
            ushort* source = (ushort*)view.RowAddress(row);
            for (int i = 0; i < view.Columns; i++)
            {
                target[(long)i * stride] = Widen(source[i]);
            }
        }
    }

    /// <summary>Writes a row of a BF16 or float32 tensor, and nothing beyond it.</summary>
    public static void WriteRow(in MoeTensorView view, int row, float* source)
    {
        if (view.ElementType == MoeElementType.Float32)
        {
            Unsafe.CopyBlockUnaligned((void*)view.RowAddress(row), source, (uint)view.RowBytes);
            return;
        }

        ushort* target = (ushort*)view.RowAddress(row);
        for (int i = 0; i < view.Columns; i++)
        {
            target[i] = Round(source[i]);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static float Widen(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    /// <summary>To the nearest BF16, ties to even; a NaN stays one, quiet.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static ushort Round(float value)
    {
        uint bits = BitConverter.SingleToUInt32Bits(value);
        uint rounded = (bits + 0x7FFFu + ((bits >> 16) & 1)) >> 16;
        return float.IsNaN(value) ? (ushort)((bits >> 16) | 0x40) : (ushort)rounded;
    }
}
