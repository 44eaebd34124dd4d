namespace Moe.Plugins.Tests;

/// <summary>MXFP8 from the rule's words, in float64 and by search (FlashInfer's rounding).</summary>
internal static class Mxfp8
{
    public const int BlockSize = 32;

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

    /// <summary>What a row becomes when it is quantised and read back.</summary>
    public static double[] Round(double[] row)
    {
        double[] rounded = new double[row.Length];
        for (int first = 0; first < row.Length; first += BlockSize)
        {
            byte scale = Scale(row.AsSpan(first, Math.Min(BlockSize, row.Length - first)));
            for (int i = first; i < Math.Min(first + BlockSize, row.Length); i++)
            {
                rounded[i] = E4M3.Decode(Code(row[i], scale)) * Math.ScaleB(1, scale - 127);
            }
        }

        return rounded;
    }
}
