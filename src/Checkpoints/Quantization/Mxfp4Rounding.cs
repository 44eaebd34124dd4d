namespace Moe.Plugins.Checkpoints;

/// <summary>Rounds float32 to MXFP4 (OCP Microscaling Formats v1.0, §6.3): the same bits on any machine.</summary>
/// <param name="searches">Whether a block may have the next scale too, where that loses less.</param>
internal sealed class Mxfp4Rounding(bool searches)
{
    private const int Block = MoeExpertReader.Mxfp4Block;

    /// <summary>Exponent of E2M1's largest power of two.</summary>
    private const int LargestExponent = 2;

    private const int ScaleBias = 127;

    private static readonly double[] Magnitudes = [0, 0.5, 1, 1.5, 2, 3, 4, 6];

    /// <summary>Rounds a row, a multiple of 32 values.</summary>
    /// <param name="row">The values.</param>
    /// <param name="codes">Two a byte, the low nibble the earlier one.</param>
    /// <param name="scales">One E8M0 byte a block.</param>
    /// <returns>What it cost.</returns>
    /// <exception cref="NotFiniteNumberException">A value is NaN or infinite, which MXFP4 has no code for.</exception>
    public MoeRoundingSums Round(ReadOnlySpan<float> row, Span<byte> codes, Span<byte> scales)
    {
        MoeRoundingSums sums = default;
        for (int block = 0; block < scales.Length; block++)
        {
            ReadOnlySpan<float> values = row.Slice(block * Block, Block);
            sums += RoundBlock(values, codes.Slice(block * (Block / 2), Block / 2), out scales[block]);
        }

        return sums;
    }

    private MoeRoundingSums RoundBlock(ReadOnlySpan<float> values, Span<byte> codes, out byte scale)
    {
        double largest = 0, squares = 0;
        foreach (float value in values)
        {
            if (!float.IsFinite(value))
            {
                throw new NotFiniteNumberException(value);
            }

            largest = Math.Max(largest, Math.Abs((double)value));
            squares += (double)value * value;
        }

        // Of zeros any scale will do; 1 is in no kernel's way.
        int exponent = largest == 0 ? 0 : Math.Clamp(Math.ILogB(largest) - LargestExponent, -ScaleBias, ScaleBias);
        double error = Encode(values, exponent, codes);
        if (searches && largest != 0 && exponent < ScaleBias)
        {
            // The rule's scale cuts off what is above 6; the next one does not, and is coarser below.
            Span<byte> other = stackalloc byte[Block / 2];
            double otherError = Encode(values, exponent + 1, other);
            if (otherError < error)
            {
                (error, exponent) = (otherError, exponent + 1);
                other.CopyTo(codes);
            }
        }

        scale = (byte)(exponent + ScaleBias);
        return new MoeRoundingSums(error, squares);
    }

    private static double Encode(ReadOnlySpan<float> values, int exponent, Span<byte> codes)
    {
        codes.Clear();
        double inverse = Math.ScaleB(1, -exponent), unit = Math.ScaleB(1, exponent), error = 0;
        for (int i = 0; i < values.Length; i++)
        {
            double magnitude = Math.Abs(values[i]) * inverse;
            int code = Nearest(magnitude);
            double lost = (magnitude - Magnitudes[code]) * unit;
            error += lost * lost;
            int signed = code | (values[i] < 0 && code != 0 ? 8 : 0);
            codes[i / 2] |= (byte)(signed << (4 * (i % 2)));
        }

        return error;
    }

    // Half way between two codes the even one is nearest.
    private static int Nearest(double magnitude) => magnitude switch
    {
        <= 0.25 => 0,
        < 0.75 => 1,
        <= 1.25 => 2,
        < 1.75 => 3,
        <= 2.5 => 4,
        < 3.5 => 5,
        <= 5 => 6,
        _ => 7,
    };
}
