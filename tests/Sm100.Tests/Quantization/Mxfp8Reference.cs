namespace Moe.Plugins.Sm100.Tests;

/// <summary>MXFP8 of BF16 rows from the rule's words, in float64: what the kernels must equal bit for bit.</summary>
internal static class Mxfp8Reference
{
    public static double FromBf16(ushort bits) => BitConverter.UInt32BitsToSingle((uint)bits << 16);

    public static ushort ToBf16(double value)
    {
        uint bits = BitConverter.SingleToUInt32Bits((float)value);
        return (ushort)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
    }

    /// <summary>The smallest power of two that is at least amax / 448, as a byte; 0 where that is 2^−127 or less.</summary>
    public static byte Scale(ReadOnlySpan<double> block)
    {
        double amax = 0;
        foreach (double value in block)
        {
            amax = double.IsNaN(value) ? amax : Math.Max(amax, Math.Abs(value));
        }

        for (int scale = 0; scale < 254; scale++)
        {
            if (amax <= E4M3.Largest * Math.ScaleB(1, scale - 127))
            {
                return (byte)scale;
            }
        }

        return 254;
    }

    public static byte Code(double value, byte scale) => E4M3.Encode(scale == 0 ? value * 0.0 : value / Math.ScaleB(1, scale - 127));

    /// <summary>Quantises and pads a matrix.</summary>
    public static (byte[] Codes, byte[] Scales) Quantize(ushort[,] rows, int padded, Mxfp8ScaleOrder order)
    {
        int count = rows.GetLength(0);
        int hidden = rows.GetLength(1);
        byte[] codes = new byte[count * padded];
        byte[] scales = new byte[Mxfp8Layout.ScaleBytes(count, padded, order)];
        double[] block = new double[32];
        for (int row = 0; row < count; row++)
        {
            for (int first = 0; first < hidden; first += 32)
            {
                Array.Clear(block);
                int valid = Math.Min(32, hidden - first);
                for (int i = 0; i < valid; i++)
                {
                    block[i] = FromBf16(rows[row, first + i]);
                }

                byte scale = Scale(block);
                scales[Place(row, first / 32, padded / 32, order)] = scale;
                for (int i = 0; i < valid; i++)
                {
                    codes[(row * padded) + first + i] = Code(block[i], scale);
                }
            }
        }

        return (codes, scales);
    }

    /// <summary>The tile order by its definition: 32 pieces of 16 bytes, of which each has four rows that are 32 apart.</summary>
    private static int Place(int row, int block, int blocks, Mxfp8ScaleOrder order)
    {
        if (order == Mxfp8ScaleOrder.Linear)
        {
            return (row * blocks) + block;
        }

        int tilesAcross = (blocks + 3) / 4;
        int tile = (row / 128 * tilesAcross) + (block / 4);
        int inTile = row % 128;
        return (tile * 512) + (inTile % 32 * 16) + (inTile / 32 * 4) + (block % 4);
    }
}
