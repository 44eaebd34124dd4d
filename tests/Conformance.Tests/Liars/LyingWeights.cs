namespace Moe.Plugins.Conformance.Tests.Liars;

/// <summary>A layer's weights as float32.</summary>
internal sealed class LyingWeights : IMoeWeights
{
    private readonly Lie _lie;
    private readonly LyingMethod _method;
    private readonly MoeLayerConfig _config;

    public LyingWeights(LyingMethod method, MoeLayerConfig config, MoeWeightSource source, Lie lie)
    {
        MoeLayerShape shape = config.Shape;
        _lie = lie;
        _method = method;
        _config = config;
        Router = Read(source.RouterWeight, shape.ExpertCount * shape.HiddenSize);
        RouterBias = lie == Lie.ForgetsTheRoutersBias ? [] : Read(source.RouterBias, shape.ExpertCount);
        GateUp = Experts(source.GateUp, shape.WeightFormat, shape.LocalExpertCount, 2 * shape.IntermediateSize, shape.HiddenSize);
        Down = Experts(source.Down, shape.WeightFormat, shape.LocalExpertCount, shape.HiddenSize, shape.IntermediateSize);
        GateUpBias = lie == Lie.DropsTheGateUpBias ? [] : Biases(new MoeExpertReader(source.GateUp, shape.WeightFormat, shape.GateUpSize, shape.HiddenSize), shape.LocalExpertCount);
        DownBias = lie == Lie.DropsTheDownBias ? [] : OfPart(shape.Part, Read(source.Down.Bias, shape.LocalExpertCount * shape.HiddenSize));
    }

    /// <summary>The first rank's, for the lie that all ranks add it; a rule makes the ranks in turn.</summary>
    private static float[] FirstRanksBias { get; set; } = [];

    public float[] Router { get; }

    public float[] RouterBias { get; }

    public float[] GateUp { get; }

    public float[] Down { get; }

    public float[] GateUpBias { get; }

    public float[] DownBias { get; }

    public long ByteCount => _lie == Lie.CountsNoWeights ? 16 : (GateUp.LongLength + Down.LongLength) * sizeof(float);

    public IMoeWorkspace CreateWorkspace() => new LyingWorkspace(_method, this, _config);

    public void Dispose()
    {
        // Arrays are the collector's.
    }

    private float[] OfPart(MoePart part, float[] bias)
    {
        FirstRanksBias = part.TensorRank == 0 ? bias : FirstRanksBias;
        return _lie == Lie.DropsTheBiasOfTheFirstRank && !part.IsWhole ? []
            : _lie == Lie.AddsTheBiasOnAllRanks ? FirstRanksBias
            : bias;
    }

    private static float[] Read(MoeStoredTensor? tensor, int count) => tensor is null ? [] : tensor.ToSingles()[..count];

    private static unsafe float[] Biases(MoeExpertReader reader, int experts)
    {
        float[] values = new float[reader.HasBias ? experts * reader.Outputs : 0];
        fixed (float* target = values)
        {
            for (int expert = 0; expert < experts && reader.HasBias; expert++)
            {
                reader.ReadBias(expert, (nint)(target + (expert * reader.Outputs)));
            }
        }

        return values;
    }

    private unsafe float[] Experts(MoeExpertMatrix matrix, MoeWeightFormat format, int experts, int outputs, int inputs)
    {
        var reader = new MoeExpertReader(matrix, format, outputs, inputs);
        float[] values = new float[experts * outputs * inputs];
        if (format == MoeWeightFormat.BFloat16)
        {
            fixed (float* target = values)
            {
                for (int expert = 0; expert < experts; expert++)
                {
                    reader.ReadSingles(expert, (nint)(target + (expert * outputs * inputs)));
                }
            }

            return values;
        }

        byte[] codes = new byte[reader.ValueBytes];
        byte[] scales = new byte[reader.ScaleBytes];
        fixed (byte* codeTarget = codes, scaleTarget = scales)
        {
            for (int i = 0; i < values.Length; i++)
            {
                int row = i / inputs % outputs, input = i % inputs;
                if (i % (outputs * inputs) == 0)
                {
                    reader.ReadValues(i / (outputs * inputs), (nint)codeTarget);
                    reader.ReadScales(i / (outputs * inputs), (nint)scaleTarget);
                }

                ReadOnlySpan<byte> own = scales.AsSpan(row * (inputs / 32), inputs / 32);
                byte pair = codes[((row * inputs) + input) / 2];
                bool isLow = input % 2 == 0 != (_lie == Lie.SwapsNibbles);
                int block = _lie == Lie.UsesOneScaleForARow ? 0 : input / 32;
                bool isDropped = _lie == Lie.DropsBlocksOfSmallScales && own[block] + 11 < Largest(own);
                values[i] = isDropped ? 0 : E2M1(isLow ? pair & 15 : pair >> 4) * MathF.ScaleB(1, own[block] - 127);
            }
        }

        return values;
    }

    private static byte Largest(ReadOnlySpan<byte> scales)
    {
        byte largest = 0;
        foreach (byte scale in scales)
        {
            largest = Math.Max(largest, scale);
        }

        return largest;
    }

    private static float E2M1(int code)
    {
        ReadOnlySpan<float> magnitudes = [0, 0.5f, 1, 1.5f, 2, 3, 4, 6];
        return code < 8 ? magnitudes[code] : -magnitudes[code - 8];
    }
}
