using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>MXFP8 of BF16 rows, padded and in either order of scales: what the kernels must equal bit for bit.</summary>
internal static class Mxfp8Reference
{
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
                    block[i] = BFloat16.ToSingle(rows[row, first + i]);
                }

                byte scale = Mxfp8.Scale(block);
                scales[Place(row, first / 32, padded / 32, order)] = scale;
                for (int i = 0; i < valid; i++)
                {
                    codes[(row * padded) + first + i] = Mxfp8.Code(block[i], scale);
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
