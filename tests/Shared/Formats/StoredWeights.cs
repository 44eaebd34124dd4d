using Moe.Plugins.Conformance;

namespace Moe.Plugins.Tests;

/// <summary>What a random matrix's tensors say, in float64 and by the formats' definitions: shares no arithmetic with the reader that backends use.</summary>
internal static unsafe class StoredWeights
{
    /// <summary>E2M1 (OCP Microscaling Formats v1.0, §5.3.3).</summary>
    private static readonly double[] Fp4 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6];

    /// <summary>All weights in the order in which they are stored; NVFP4's without the matrix's global scale.</summary>
    public static IEnumerable<double> Read(RandomMatrix matrix, MoeWeightFormat format)
    {
        bool isFp4 = format is MoeWeightFormat.Mxfp4 or MoeWeightFormat.Nvfp4;
        int inputs = matrix.Values.Columns * (isFp4 ? 2 : 1);
        for (int expert = 0; expert < matrix.Values.Planes; expert++)
        {
            for (int row = 0; row < matrix.Values.Rows; row++)
            {
                for (int i = 0; i < inputs; i++)
                {
                    double value = isFp4
                        ? Fp4[Element(matrix.Values, expert, row, i / 2) is var pair && i % 2 == 0 ? (int)pair & 15 : (int)pair >> 4]
                        : Element(matrix.Values, expert, row, i);
                    yield return matrix.Scales.IsEmpty ? value : value * Scale(matrix.Scales, format, expert, row * matrix.Scales.Rows / matrix.Values.Rows, i * matrix.Scales.Columns / inputs);
                }
            }
        }
    }

    /// <summary>
    /// ‖stored − BF16‖² and ‖stored‖², where each weight is rounded to the nearest BF16 number. NVFP4's global scale is a factor beside them, one for all of
    /// an expert's matrix.
    /// </summary>
    public static (double Errors, double Squares) RoundToBFloat16(RandomMatrix matrix, MoeWeightFormat format)
    {
        double errors = 0, squares = 0;
        long perExpert = matrix.Values.Rows * (long)matrix.Values.Columns * (format is MoeWeightFormat.Mxfp4 or MoeWeightFormat.Nvfp4 ? 2 : 1), index = 0;
        foreach (double stored in Read(matrix, format))
        {
            double global = matrix.GlobalScales.IsEmpty ? 1 : Element(matrix.GlobalScales, 0, 0, (int)(index / perExpert));
            double error = (stored - NearestBFloat16(stored)) * global;
            errors += error * error;
            squares += stored * stored * global * global;
            index++;
        }

        return matrix.Up is null ? (errors, squares) : Add((errors, squares), RoundToBFloat16(matrix.Up, format));
    }

    /// <summary>‖stored − BF16‖ ÷ ‖stored‖ of two matrices together.</summary>
    public static double ErrorInBFloat16(RandomMatrix first, RandomMatrix second, MoeWeightFormat format)
    {
        (double errors, double squares) = Add(RoundToBFloat16(first, format), RoundToBFloat16(second, format));
        return Math.Sqrt(errors / squares);
    }

    /// <summary>One element, whatever type it has: the byte of a pair of codes too.</summary>
    public static double Element(MoeTensorView view, int plane, int row, int column)
    {
        byte* start = (byte*)view.RowAddress(row, plane);
        return view.ElementType switch
        {
            MoeElementType.BFloat16 => BFloat16.ToSingle(((ushort*)start)[column]),
            MoeElementType.Float16 => (double)((Half*)start)[column],
            MoeElementType.Float32 => ((float*)start)[column],
            MoeElementType.Float8E4M3 => E4M3.Decode(start[column]),
            _ => start[column],
        };
    }

    private static (double Errors, double Squares) Add((double Errors, double Squares) left, (double Errors, double Squares) right) =>
        (left.Errors + right.Errors, left.Squares + right.Squares);

    private static double Scale(MoeTensorView scales, MoeWeightFormat format, int plane, int row, int column)
    {
        double stored = Element(scales, plane, row, column);
        return format == MoeWeightFormat.Mxfp4 ? Math.ScaleB(1, (int)stored - 127) : stored;
    }

    /// <summary>Eight significant bits, of two equally near numbers the even one; normal numbers only.</summary>
    private static double NearestBFloat16(double value)
    {
        if (value == 0)
        {
            return 0;
        }

        int lowest = Math.ILogB(value) - 7;
        return Math.ScaleB(Math.Round(Math.ScaleB(value, -lowest), MidpointRounding.ToEven), lowest);
    }
}
