namespace Moe.Plugins.Conformance;

/// <summary>
/// Dequantises an expert matrix a few outputs at a time, so that whatever order the checkpoint has, the caller sees
/// [output, input] in float64.
/// </summary>
internal static unsafe class ExpertRows
{
    /// <summary>E2M1: sign, two bits of exponent with bias 1, one of mantissa (OCP Microscaling Formats v1.0, §5.3.3); code 8 is −0.</summary>
    private static readonly double[] Codes = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6];

    /// <summary>E8M0: 2^(byte − 127), 255 for NaN; there is no zero (OCP Microscaling Formats v1.0, §5.4.1).</summary>
    private static readonly double[] Scales =
        [.. Enumerable.Range(0, 256).Select(value => value == 255 ? double.NaN : Math.ScaleB(1, value - 127))];

    /// <summary>Values that share a scale, and bytes that their codes take (§5.1).</summary>
    private const int BlockSize = 32;
    private const int BlockBytes = BlockSize / 2;

    /// <summary>Reads <paramref name="count"/> outputs from <paramref name="first"/> on into rows of <paramref name="inputs"/> values.</summary>
    public static void Read(MoeExpertMatrix matrix, int expert, int first, int count, int inputs, Span<double> destination)
    {
        if (!matrix.Scales.IsEmpty)
        {
            for (int row = 0; row < count; row++)
            {
                ReadMxfp4(matrix, expert, first + row, destination.Slice(row * inputs, inputs));
            }
        }
        else if (matrix.Order == MoeMatrixOrder.OutputMajor)
        {
            for (int row = 0; row < count; row++)
            {
                FloatReader.ReadRow(matrix.Values, first + row, expert, destination.Slice(row * inputs, inputs));
            }
        }
        else
        {
            for (int input = 0; input < inputs; input++)
            {
                for (int row = 0; row < count; row++)
                {
                    destination[(row * inputs) + input] = FloatReader.Read(matrix.Values, input, first + row, expert);
                }
            }
        }
    }

    private static void ReadMxfp4(MoeExpertMatrix matrix, int expert, int output, Span<double> destination)
    {
        byte* codes = (byte*)matrix.Values.RowAddress(output, expert);
        byte* scales = (byte*)matrix.Scales.RowAddress(output, expert);
        for (int block = 0; block < destination.Length / BlockSize; block++)
        {
            double scale = Scales[scales[block]];
            Span<double> values = destination.Slice(block * BlockSize, BlockSize);
            byte* pairs = codes + (block * BlockBytes);
            for (int i = 0; i < BlockBytes; i++)
            {
                // The low nibble is the earlier input.
                values[2 * i] = Codes[pairs[i] & 0xF] * scale;
                values[(2 * i) + 1] = Codes[pairs[i] >> 4] * scale;
            }
        }
    }
}
