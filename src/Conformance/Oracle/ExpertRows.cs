using System.Runtime.InteropServices;

namespace Moe.Plugins.Conformance;

/// <summary>
/// Dequantises a matrix a few outputs at a time, so that whatever order the checkpoint has, the caller sees [output, input] in float64, a
/// neuron's gate before its up. It shares no arithmetic with the reader that backends use.
/// </summary>
internal sealed class ExpertRows(MoeExpertMatrix matrix, MoeWeightFormat format, int outputs, int inputs)
{
    /// <summary>E2M1: sign, two bits of exponent with bias 1, one of mantissa (OCP Microscaling Formats v1.0, §5.3.3); code 8 is −0.</summary>
    private static readonly double[] Fp4 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6];

    public int Outputs => outputs;

    public int Inputs => inputs;

    /// <summary>Reads <paramref name="count"/> outputs from <paramref name="first"/> on into rows of values.</summary>
    public void Read(int expert, int first, int count, Span<double> destination)
    {
        for (int row = 0; row < count; row++)
        {
            (MoeExpertMatrix stored, int output) = Locate(first + row);
            if (stored.Order == MoeMatrixOrder.OutputMajor)
            {
                ReadRow(stored, expert, output, destination.Slice(row * inputs, inputs));
            }
            else
            {
                // A run of outputs that lie side by side is read at once.
                int run = matrix.RowOrder == MoeRowOrder.Interleaved ? count - row : 1;
                ReadColumns(stored, expert, output, run, destination[(row * inputs)..]);
                row += run - 1;
            }
        }
    }

    public double Bias(int expert, int output)
    {
        (MoeExpertMatrix stored, int row) = Locate(output);
        return stored.Bias is null ? 0 : FloatReader.Read(stored.Bias, expert, row);
    }

    /// <summary>Where an output is stored.</summary>
    private (MoeExpertMatrix Matrix, int Output) Locate(int output) => matrix.RowOrder switch
    {
        MoeRowOrder.Interleaved => (matrix, output),
        MoeRowOrder.GateThenUp => (matrix, ((output % 2) * (outputs / 2)) + (output / 2)),
        MoeRowOrder.Separate => (output % 2 == 0 ? matrix : matrix.Up!, output / 2),
        _ => throw new ArgumentException($"Row order {matrix.RowOrder} is not one that the oracle knows."),
    };

    private static void ReadColumns(MoeExpertMatrix stored, int expert, int first, int count, Span<double> destination)
    {
        int inputs = stored.Values.Rows;
        double[] row = new double[count];
        for (int input = 0; input < inputs; input++)
        {
            FloatReader.ReadRow(stored.Values, input, expert, row, first);
            for (int i = 0; i < count; i++)
            {
                destination[(i * inputs) + input] = row[i];
            }
        }
    }

    private void ReadRow(MoeExpertMatrix stored, int expert, int output, Span<double> destination)
    {
        if (format is MoeWeightFormat.BFloat16 or MoeWeightFormat.Float16 or MoeWeightFormat.Float32)
        {
            FloatReader.ReadRow(stored.Values, output, expert, destination);
            return;
        }

        byte[] values = FloatReader.ReadBytes(stored.Values, output, expert);
        bool isFp8 = format == MoeWeightFormat.Fp8Block;
        int scaleRow = isFp8 ? (output + stored.ScaleRowOffset) / stored.ScaleRows : output;
        byte[] scales = FloatReader.ReadBytes(stored.Scales!, scaleRow, expert);
        double global = stored.GlobalScales is null ? 1 : FloatReader.Read(stored.GlobalScales, 0, expert);
        int block = format switch
        {
            MoeWeightFormat.Mxfp4 => 32,
            MoeWeightFormat.Nvfp4 => 16,
            MoeWeightFormat.Fp8Block => stored.ScaleColumns,
            _ => throw new ArgumentException($"Weight format {format} is not one that the oracle knows."),
        };
        for (int i = 0; i < destination.Length; i++)
        {
            // FP4: the low nibble is the earlier input.
            double value = isFp8 ? E4M3(values[i]) : Fp4[i % 2 == 0 ? values[i / 2] & 0xF : values[i / 2] >> 4];
            destination[i] = value * Scale(stored.Scales!.ElementType, scales, (i + stored.ScaleColumnOffset) / block) * global;
        }
    }

    private static double Scale(MoeElementType type, byte[] row, int column) => type switch
    {
        MoeElementType.Float32 => MemoryMarshal.Cast<byte, float>(row)[column],
        MoeElementType.BFloat16 => BitConverter.UInt32BitsToSingle((uint)MemoryMarshal.Cast<byte, ushort>(row)[column] << 16),
        MoeElementType.Float8E4M3 => E4M3(row[column]),

        // E8M0: 2^(byte − 127), 255 for NaN; there is no zero (OCP Microscaling Formats v1.0, §5.4.1).
        _ => row[column] == 255 ? double.NaN : Math.ScaleB(1, row[column] - 127),
    };

    /// <summary>E4M3: four bits of exponent with bias 7, three of mantissa; 0x7F is NaN, and nothing is infinite (OCP FP8, §3).</summary>
    private static double E4M3(byte bits)
    {
        int exponent = (bits & 0x78) >> 3;
        double magnitude = (bits & 0x7F) == 0x7F ? double.NaN
            : exponent == 0 ? Math.ScaleB(bits & 7, -9)
            : Math.ScaleB(8 + (bits & 7), exponent - 10);
        return bits >= 0x80 ? -magnitude : magnitude;
    }
}
