namespace Moe.Plugins.Conformance.Tests;

/// <summary>The layer once more, for one token and element by element: slow, and hard to get wrong.</summary>
internal static unsafe class PlainLoops
{
    public static double[] Compute(RandomLayer layer, float[] input, int[] ids, double[] weights, Func<double[], double[]>? round = null)
    {
        MoeLayerShape shape = layer.Shape;
        double[] output = new double[shape.HiddenSize];
        round ??= row => row;
        for (int k = 0; k < ids.Length; k++)
        {
            double[] x = round([.. input.Select(value => (double)value)]);
            double[] h = Product(layer.Tensors.GateUp, ids[k], x, 2 * shape.IntermediateSize);
            double[] act = new double[shape.IntermediateSize];
            for (int i = 0; i < act.Length; i++)
            {
                double gate = Math.Min(h[2 * i], 7);
                double up = Math.Max(-7, Math.Min(7, h[(2 * i) + 1]));
                act[i] = (up + 1) * gate / (1 + Math.Exp(-(double)1.702f * gate));
            }

            double[] y = Product(layer.Tensors.Down, ids[k], round(act), shape.HiddenSize);
            for (int i = 0; i < output.Length; i++)
            {
                output[i] += weights[k] * y[i];
            }
        }

        return output;
    }

    private static double[] Product(RandomMatrix matrix, int expert, double[] x, int outputs)
    {
        double[] y = new double[outputs];
        for (int o = 0; o < outputs; o++)
        {
            y[o] = matrix.Bias.IsEmpty ? 0 : Tensors.Single(matrix.Bias, expert)[o];
            for (int i = 0; i < x.Length; i++)
            {
                y[o] += Weight(matrix, expert, o, i) * x[i];
            }
        }

        return y;
    }

    private static double Weight(RandomMatrix matrix, int expert, int output, int input)
    {
        if (matrix.Scales.IsEmpty)
        {
            return BitConverter.UInt32BitsToSingle((uint)((ushort*)matrix.Values.RowAddress(output, expert))[input] << 16);
        }

        int pair = ((byte*)matrix.Values.RowAddress(output, expert))[input / 2];
        int code = input % 2 == 0 ? pair & 15 : pair >> 4;
        int exponent = (code >> 1) & 3;
        double magnitude = exponent == 0 ? (code & 1) * 0.5 : (1 + ((code & 1) * 0.5)) * Math.Pow(2, exponent - 1);
        double scale = Math.Pow(2, ((byte*)matrix.Scales.RowAddress(output, expert))[input / 32] - 127);
        return (code >= 8 ? -magnitude : magnitude) * scale;
    }
}
