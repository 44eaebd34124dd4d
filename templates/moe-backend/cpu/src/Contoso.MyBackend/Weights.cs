using Moe.Plugins;

namespace Contoso.MyBackend;

/// <summary>A layer's weights as float32. The source can be read during the constructor only: what is kept is copied.</summary>
internal sealed class Weights : IMoeWeights
{
    private const int ScaleBias = 127;

    public Weights(MoeLayerConfig config, MoeWeightSource source, CancellationToken cancellationToken)
    {
        Shape = config.Shape;
        Router = source.RouterWeight?.ToSingles() ?? [];
        RouterBias = source.RouterBias?.ToSingles() ?? [];
        (GateUp, GateUpBias) = Experts(new MoeExpertReader(source.GateUp, Shape.WeightFormat, Shape.GateUpSize, Shape.HiddenSize), cancellationToken);
        (Down, DownBias) = Experts(new MoeExpertReader(source.Down, Shape.WeightFormat, Shape.HiddenSize, Shape.IntermediateSize), cancellationToken);
    }

    public MoeLayerShape Shape { get; }

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

    public IMoeWorkspace CreateWorkspace() => new Workspace(this, Shape);

    public void Dispose()
    {
        // Arrays are the collector's.
    }

    private unsafe (float[] Weights, float[] Biases) Experts(MoeExpertReader reader, CancellationToken cancellationToken)
    {
        int experts = Shape.ExpertCount;
        float[] weights = new float[(long)experts * reader.Outputs * reader.Inputs];
        float[] biases = new float[reader.HasBias ? experts * reader.Outputs : 0];
        Parallel.For(0, experts, new ParallelOptions { CancellationToken = cancellationToken }, expert =>
        {
            Span<float> own = weights.AsSpan(expert * reader.Outputs * reader.Inputs, reader.Outputs * reader.Inputs);
            fixed (float* weightStart = own, biasStart = biases)
            {
                if (Shape.WeightFormat == MoeWeightFormat.Mxfp4)
                {
                    ReadMxfp4(reader, expert, own);
                }
                else
                {
                    reader.ReadSingles(expert, (nint)weightStart);
                }

                if (reader.HasBias)
                {
                    reader.ReadBias(expert, (nint)(biasStart + (expert * reader.Outputs)));
                }
            }
        });
        return (weights, biases);
    }

    /// <summary>Two codes per byte, low nibble first; one power of two for each block of 32 inputs.</summary>
    private static unsafe void ReadMxfp4(MoeExpertReader reader, int expert, Span<float> weights)
    {
        byte[] codes = new byte[reader.ValueBytes];
        byte[] scales = new byte[reader.ScaleBytes];
        fixed (byte* codeStart = codes, scaleStart = scales)
        {
            reader.ReadValues(expert, (nint)codeStart);
            reader.ReadScales(expert, (nint)scaleStart);
        }

        for (int input = 0; input < weights.Length; input++)
        {
            byte pair = codes[input / 2];
            byte scale = scales[input / MoeExpertReader.Mxfp4Block];
            weights[input] = scale == byte.MaxValue ? float.NaN : E2M1(input % 2 == 0 ? pair & 15 : pair >> 4) * MathF.ScaleB(1, scale - ScaleBias);
        }
    }

    private static float E2M1(int code)
    {
        ReadOnlySpan<float> magnitudes = [0, 0.5f, 1, 1.5f, 2, 3, 4, 6];
        return code < magnitudes.Length ? magnitudes[code] : -magnitudes[code - magnitudes.Length];
    }
}
