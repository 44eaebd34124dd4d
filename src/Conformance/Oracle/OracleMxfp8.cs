namespace Moe.Plugins.Conformance;

/// <summary>Rounds rows to MXFP8 values, in float64: <see cref="OracleActivations.Mxfp8"/> has the rule.</summary>
internal static class OracleMxfp8
{
    private const int BlockSize = MoeExpertReader.Mxfp4Block;

    /// <summary>Largest E4M3 value, and exponent of the last mantissa bit of its subnormals (OCP Microscaling Formats v1.0, §5.3.1).</summary>
    private const double Largest = 448;
    private const int LeastExponent = -9;
    private const int MantissaBits = 3;

    private const int MinScale = -127;
    private const int MaxScale = 127;

    /// <summary>Rounds each row in place; a row's last block may be short.</summary>
    public static void Round(double[] rows, int columns)
    {
        for (int row = 0; row < rows.Length; row += columns)
        {
            for (int first = 0; first < columns; first += BlockSize)
            {
                RoundBlock(rows.AsSpan(row + first, Math.Min(BlockSize, columns - first)));
            }
        }
    }

    private static void RoundBlock(Span<double> block)
    {
        double amax = 0;
        foreach (double value in block)
        {
            amax = double.IsNaN(value) ? amax : Math.Max(amax, Math.Abs(value));
        }

        int scale = Scale(amax);
        foreach (ref double value in block)
        {
            if (!double.IsNaN(value))
            {
                value = scale == MinScale ? 0 : Math.ScaleB(ToE4M3(Math.ScaleB(value, -scale)), scale);
            }
        }
    }

    private static int Scale(double amax)
    {
        if (amax == 0 || double.IsInfinity(amax))
        {
            return amax == 0 ? MinScale : MaxScale;
        }

        // 448 = 1.75 · 2^8; ILogB takes the logarithm's integer part exactly.
        int exponent = Math.ILogB(amax);
        int scale = Math.ScaleB(amax, -exponent) <= 1.75 ? exponent - 8 : exponent - 7;
        return Math.Clamp(scale, MinScale, MaxScale);
    }

    private static double ToE4M3(double value)
    {
        double magnitude = Math.Min(Math.Abs(value), Largest);
        int unit = magnitude == 0 ? LeastExponent : Math.Max(Math.ILogB(magnitude) - MantissaBits, LeastExponent);
        return Math.CopySign(Math.ScaleB(Math.Round(Math.ScaleB(magnitude, -unit), MidpointRounding.ToEven), unit), value);
    }
}
