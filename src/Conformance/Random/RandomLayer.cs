namespace Moe.Plugins.Conformance;

/// <summary>
/// A layer of any shape with random weights, in host memory, freed by Dispose. Its weights are scaled so that products with
/// <see cref="RandomInput"/> have values around 1, as trained layers do.
/// </summary>
public sealed class RandomLayer : IDisposable
{
    /// <summary>Root of the mean square of the E2M1 values, and of a scale factor that is 1/2, 1 or 2.</summary>
    private static readonly double CodeDeviation = Math.Sqrt(68.5 / 8 * (0.25 + 1 + 4) / 3);

    private const int BlockSize = 32;
    private const int ScaleBias = 127;

    private readonly List<HostTensor> _tensors = [];
    private readonly ulong _seed;

    /// <summary>Makes a layer.</summary>
    /// <param name="shape">Its sizes and options.</param>
    /// <param name="seed">The same seed gives the same weights, everywhere.</param>
    /// <param name="order">Which dimension runs along the rows of BF16 weights; MXFP4 is always output-major.</param>
    /// <exception cref="MoeException">The shape is none, or there is not that much memory.</exception>
    public RandomLayer(MoeLayerShape shape, int seed, MoeMatrixOrder order = MoeMatrixOrder.OutputMajor)
    {
        ArgumentNullException.ThrowIfNull(shape);
        shape.Validate();
        Shape = shape;
        _seed = (ulong)seed;
        try
        {
            Source = new MoeWeightSource
            {
                RouterWeight = AddBell(1, shape.ExpertCount, shape.HiddenSize, 1.5 / (Math.Sqrt(shape.HiddenSize) * RandomInput.Deviation)),
                RouterBias = shape.HasRouterBias ? AddBell(1, 1, shape.ExpertCount, 0.5) : default,
                GateUp = AddMatrix(2 * shape.IntermediateSize, shape.HiddenSize, RandomInput.Deviation, order),
                Down = AddMatrix(shape.HiddenSize, shape.IntermediateSize, 1, order),
            };
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The layer.</summary>
    public MoeLayerShape Shape { get; }

    /// <summary>Its tensors, valid until Dispose.</summary>
    public MoeWeightSource Source { get; }

    /// <summary>Bytes of all tensors.</summary>
    public long ByteCount => _tensors.Sum(tensor => tensor.ByteCount);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (HostTensor tensor in _tensors)
        {
            tensor.Dispose();
        }
    }

    private MoeExpertMatrix AddMatrix(int outputs, int inputs, double inputDeviation, MoeMatrixOrder order)
    {
        int experts = Shape.ExpertCount;
        MoeTensorView bias = Shape.HasExpertBias ? AddBell(1, experts, outputs, 0.25) : default;
        double growth = Math.Sqrt(inputs) * inputDeviation;
        if (Shape.WeightFormat == MoeWeightFormat.BFloat16)
        {
            (int rows, int columns) = order == MoeMatrixOrder.OutputMajor ? (outputs, inputs) : (inputs, outputs);
            return new MoeExpertMatrix { Values = AddBell(experts, rows, columns, 1 / growth), Bias = bias, Order = order };
        }

        MoeTensorView codes = Add(MoeElementType.UInt8, experts, outputs, inputs / 2);
        RandomBits.FillBytes(codes, NextSeed());
        MoeTensorView scales = Add(MoeElementType.UInt8, experts, outputs, inputs / BlockSize);
        RandomBits.FillAround(scales, NextSeed(), ScaleBias - (int)Math.Round(Math.Log2(growth * CodeDeviation)));
        return new MoeExpertMatrix { Values = codes, Scales = scales, Bias = bias };
    }

    private MoeTensorView AddBell(int planes, int rows, int columns, double deviation)
    {
        MoeTensorView view = Add(MoeElementType.BFloat16, planes, rows, columns);
        RandomBits.FillBell(view, NextSeed(), deviation);
        return view;
    }

    private MoeTensorView Add(MoeElementType type, int planes, int rows, int columns)
    {
        var tensor = new HostTensor(type, rows, columns, planes);
        _tensors.Add(tensor);
        return tensor.View;
    }

    private ulong NextSeed() => RandomBits.At(_seed, _tensors.Count);
}
