namespace Moe.Plugins.Conformance.Tests.Liars;

/// <summary>A layer's weights as float32.</summary>
internal sealed class LyingWeights : IMoeWeights
{
    private readonly Lie _lie;

    public LyingWeights(MoeLayerShape shape, MoeWeightSource source, Lie lie)
    {
        _lie = lie;
        Router = Read(source.RouterWeight, shape.ExpertCount * shape.HiddenSize);
        RouterBias = lie == Lie.ForgetsTheRoutersBias ? [] : Read(source.RouterBias, shape.ExpertCount);
        GateUp = Experts(source.GateUp, shape.ExpertCount, 2 * shape.IntermediateSize, shape.HiddenSize);
        Down = Experts(source.Down, shape.ExpertCount, shape.HiddenSize, shape.IntermediateSize);
        GateUpBias = lie == Lie.DropsTheGateUpBias ? [] : Read(source.GateUp.Bias, shape.ExpertCount * 2 * shape.IntermediateSize);
        DownBias = lie == Lie.DropsTheDownBias ? [] : Read(source.Down.Bias, shape.ExpertCount * shape.HiddenSize);
    }

    public float[] Router { get; }

    public float[] RouterBias { get; }

    public float[] GateUp { get; }

    public float[] Down { get; }

    public float[] GateUpBias { get; }

    public float[] DownBias { get; }

    public long ByteCount => _lie == Lie.CountsNoWeights ? 16 : (GateUp.LongLength + Down.LongLength) * sizeof(float);

    public void Dispose()
    {
        // Arrays are the collector's.
    }

    private static float[] Read(MoeTensorView view, int count)
    {
        if (view.IsEmpty)
        {
            return [];
        }

        float[] values = new float[count];
        for (int i = 0; i < count; i++)
        {
            values[i] = Element(view, i / view.Columns, i % view.Columns, 0);
        }

        return values;
    }

    private static unsafe float Element(MoeTensorView view, int row, int column, int plane)
    {
        nint address = view.RowAddress(row, plane);
        return view.ElementType == MoeElementType.Float32
            ? ((float*)address)[column]
            : BitConverter.UInt32BitsToSingle((uint)((ushort*)address)[column] << 16);
    }

    private unsafe float[] Experts(MoeExpertMatrix matrix, int experts, int outputs, int inputs)
    {
        float[] values = new float[experts * outputs * inputs];
        for (int i = 0; i < values.Length; i++)
        {
            (int expert, int output, int input) = (i / (outputs * inputs), i / inputs % outputs, i % inputs);
            if (matrix.Values.ElementType == MoeElementType.BFloat16)
            {
                values[i] = Element(matrix.Values, output, input, expert);
                continue;
            }

            byte pair = ((byte*)matrix.Values.RowAddress(output, expert))[input / 2];
            bool isLow = input % 2 == 0 != (_lie == Lie.SwapsNibbles);
            int code = isLow ? pair & 15 : pair >> 4;
            int block = _lie == Lie.UsesOneScaleForARow ? 0 : input / 32;
            byte scale = ((byte*)matrix.Scales.RowAddress(output, expert))[block];
            values[i] = E2M1(code) * MathF.ScaleB(1, scale - 127);
        }

        return values;
    }

    private static float E2M1(int code)
    {
        ReadOnlySpan<float> magnitudes = [0, 0.5f, 1, 1.5f, 2, 3, 4, 6];
        return code < 8 ? magnitudes[code] : -magnitudes[code - 8];
    }
}
