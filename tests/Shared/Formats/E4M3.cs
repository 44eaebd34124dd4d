namespace Moe.Plugins.Tests;

/// <summary>E4M3 by its definition (OCP Microscaling Formats v1.0, §5.3.1) and by search: shares no arithmetic with the kernels.</summary>
internal static class E4M3
{
    public const byte NaN = 0x7F;
    public const double Largest = 448;

    private static readonly double[] Magnitudes = [.. Enumerable.Range(0, 0x7F).Select(code => Decode((byte)code))];

    public static double Decode(byte code)
    {
        int exponent = code >> 3 & 15;
        int mantissa = code & 7;
        double magnitude = (code & 0x7F) == 0x7F ? double.NaN
            : exponent == 0 ? Math.ScaleB(mantissa, -9)
            : Math.ScaleB(8 + mantissa, exponent - 10);
        return (code & 0x80) != 0 ? -magnitude : magnitude;
    }

    /// <summary>The nearest code, of two equally near the even one; saturated.</summary>
    public static byte Encode(double value)
    {
        if (double.IsNaN(value))
        {
            return NaN;
        }

        double magnitude = Math.Min(Math.Abs(value), Largest);
        int best = 0;
        for (int code = 1; code < Magnitudes.Length; code++)
        {
            double gain = Math.Abs(Magnitudes[best] - magnitude) - Math.Abs(Magnitudes[code] - magnitude);
            if (gain > 0 || (gain == 0 && code % 2 == 0))
            {
                best = code;
            }
        }

        return (byte)(best | (double.IsNegative(value) ? 0x80 : 0));
    }
}
