using Moe.Plugins;

namespace Contoso.MyBackend;

/// <summary>A layer's weights as float32. The source's views end with the constructor: what is kept is copied.</summary>
internal sealed class Weights : IMoeWeights
{
    private const int BlockSize = 32;
    private const int ScaleBias = 127;

    public Weights(MoeLayerShape shape, MoeWeightSource source, CancellationToken cancellationToken)
    {
        Router = Floats(source.RouterWeight);
        RouterBias = Floats(source.RouterBias);
        GateUp = Experts(source.GateUp, shape.ExpertCount, 2 * shape.IntermediateSize, shape.HiddenSize, cancellationToken);
        GateUpBias = Floats(source.GateUp.Bias);
        Down = Experts(source.Down, shape.ExpertCount, shape.HiddenSize, shape.IntermediateSize, cancellationToken);
        DownBias = Floats(source.Down.Bias);
    }

    /// <summary>[experts, hidden]; empty where the caller routes.</summary>
    public float[] Router { get; }

    public float[] RouterBias { get; }

    /// <summary>[experts, 2 · intermediate, hidden], gates in even rows and ups in odd ones.</summary>
    public float[] GateUp { get; }

    public float[] GateUpBias { get; }

    /// <summary>[experts, hidden, intermediate].</summary>
    public float[] Down { get; }

    public float[] DownBias { get; }

    public long ByteCount => sizeof(float)
        * (Router.LongLength + RouterBias.LongLength + GateUp.LongLength + GateUpBias.LongLength + Down.LongLength + DownBias.LongLength);

    public void Dispose()
    {
        // Arrays are the collector's.
    }

    private static float[] Floats(MoeTensorView view)
    {
        float[] values = new float[view.Rows * view.Columns];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = Element.Read(view, i / view.Columns, i % view.Columns);
        }

        return values;
    }

    private static unsafe float[] Experts(MoeExpertMatrix matrix, int experts, int outputs, int inputs, CancellationToken cancellationToken)
    {
        float[] values = new float[(long)experts * outputs * inputs];
        Parallel.For(0, experts * outputs, new ParallelOptions { CancellationToken = cancellationToken }, row =>
        {
            (int expert, int output) = (row / outputs, row % outputs);
            for (int input = 0; input < inputs; input++)
            {
                float value;
                if (matrix.Values.ElementType == MoeElementType.UInt8)
                {
                    // MXFP4: two codes a byte, low nibble first; one power of two a block of 32 inputs.
                    byte pair = ((byte*)matrix.Values.RowAddress(output, expert))[input / 2];
                    byte scale = ((byte*)matrix.Scales.RowAddress(output, expert))[input / BlockSize];
                    value = scale == byte.MaxValue ? float.NaN : E2M1(input % 2 == 0 ? pair & 15 : pair >> 4) * MathF.ScaleB(1, scale - ScaleBias);
                }
                else
                {
                    value = matrix.Order == MoeMatrixOrder.OutputMajor
                        ? Element.Read(matrix.Values, output, input, expert)
                        : Element.Read(matrix.Values, input, output, expert);
                }

                values[((long)row * inputs) + input] = value;
            }
        });
        return values;
    }

    private static float E2M1(int code)
    {
        ReadOnlySpan<float> magnitudes = [0, 0.5f, 1, 1.5f, 2, 3, 4, 6];
        return code < magnitudes.Length ? magnitudes[code] : -magnitudes[code - magnitudes.Length];
    }
}
