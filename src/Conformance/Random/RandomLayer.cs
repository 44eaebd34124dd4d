namespace Moe.Plugins.Conformance;

/// <summary>
/// A layer of any shape with random weights, in host memory, freed by Dispose. Its weights are scaled so that products with
/// <see cref="RandomInput"/> have values around 1, as trained layers do.
/// </summary>
public sealed class RandomLayer : IDisposable
{
    /// <summary>Token ids that a random table of tokens knows.</summary>
    public const int VocabularySize = 64;

    /// <summary>Outputs and inputs that share a scale in random FP8 weights: small layers have several blocks.</summary>
    internal const int Fp8Block = 32;

    /// <summary>Root of the mean square of the E2M1 values, and of a scale factor that is 1/2, 1 or 2.</summary>
    private static readonly double CodeDeviation = Math.Sqrt(68.5 / 8 * (0.25 + 1 + 4) / 3);

    private const int ScaleBias = 127;

    /// <summary>E4M3 of 1, whose neighbours are powers of two 8 codes apart.</summary>
    private const int E4M3One = 0x38;

    private readonly List<MoeBuffer> _buffers = [];
    private readonly ulong _seed;
    private readonly MoeMatrixOrder _order;
    private readonly MoeRowOrder _rowOrder;

    /// <summary>Makes a layer.</summary>
    /// <param name="shape">Its sizes and options.</param>
    /// <param name="seed">The same seed gives the same weights, everywhere.</param>
    /// <param name="order">Which dimension runs along the rows of unquantised experts; quantised weights are always output-major.</param>
    /// <param name="rowOrder">How gates and ups lie, where the activation has gates.</param>
    /// <exception cref="MoeException">The shape is invalid, or there is not that much memory.</exception>
    public RandomLayer(
        MoeLayerShape shape, int seed, MoeMatrixOrder order = MoeMatrixOrder.OutputMajor, MoeRowOrder rowOrder = MoeRowOrder.Interleaved)
    {
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentCheck.ThrowIfUndefined(order);
        ArgumentCheck.ThrowIfUndefined(rowOrder);
        shape.Validate();
        Shape = shape;
        _seed = (ulong)seed;
        _order = order;
        _rowOrder = rowOrder;
        try
        {
            Tensors = MakeTensors(shape);
            Source = Tensors.Source;
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>The layer.</summary>
    public MoeLayerShape Shape { get; }

    /// <summary>Its tensors as a method loads them, valid until Dispose.</summary>
    public MoeWeightSource Source { get; }

    /// <summary>Its tensors in memory, valid until Dispose.</summary>
    public RandomTensors Tensors { get; }

    /// <summary>Bytes of all tensors.</summary>
    public long ByteCount => _buffers.Sum(buffer => buffer.ByteCount);

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (MoeBuffer buffer in _buffers)
        {
            buffer.Dispose();
        }
    }

    private RandomTensors MakeTensors(MoeLayerShape shape)
    {
        int hidden = shape.HiddenSize;
        int experts = shape.LocalExpertCount;
        MoeTensorView router = AddBell(1, shape.ExpertCount, hidden, 1.5 / (Math.Sqrt(hidden) * RandomInput.Deviation));
        MoeTensorView routerBias = shape.Router.HasLogitBias ? AddBell(1, 1, shape.ExpertCount, 0.5) : default;

        // Latent experts read what a projection made of the input: values around 1.
        double inputDeviation = shape.Latent is null ? RandomInput.Deviation : 1;
        RandomMatrix gateUp = AddMatrix(
            experts, shape.GateUpSize, shape.ExpertHiddenSize, shape.WeightFormat, inputDeviation, shape.HasExpertBias, shape.Activation.IsGated);
        RandomMatrix down = AddMatrix(
            experts, shape.ExpertHiddenSize, shape.IntermediateSize, shape.WeightFormat, 1, shape.HasDownBias, isGated: false);
        var tensors = new RandomTensors
        {
            RouterWeight = router,
            RouterBias = routerBias,
            GateUp = gateUp,
            Down = down,
            SelectionBias = shape.Router.HasSelectionBias ? AddSelectionBias(shape) : default,
            TokenTable = shape.Router.Choice == MoeRouterChoice.TokenTable ? AddTable(shape) : default,
        };
        if (shape.Shared is { } shared)
        {
            tensors = tensors with
            {
                SharedGateUp = AddMatrix(1, shared.GateUpSize, hidden, shared.WeightFormat, RandomInput.Deviation, hasBias: false, shared.Activation.IsGated),
                SharedDown = AddMatrix(1, hidden, shared.IntermediateSize, shared.WeightFormat, 1, hasBias: false, isGated: false),
                SharedGate = shared.HasGate ? AddBell(1, 1, hidden, 1 / (Math.Sqrt(hidden) * RandomInput.Deviation)) : default,
            };
        }

        return shape.Latent is not { } latent ? tensors : tensors with
        {
            LatentDown = AddMatrix(1, latent.Width, hidden, latent.WeightFormat, RandomInput.Deviation, hasBias: false, isGated: false),
            LatentUp = AddMatrix(1, hidden, latent.Width, latent.WeightFormat, 1, hasBias: false, isGated: false),
            LatentNorm = latent.NormEpsilon is null ? default : AddBell(1, 1, latent.Width, 1),
        };
    }

    private RandomMatrix AddMatrix(
        int experts, int outputs, int inputs, MoeWeightFormat format, double inputDeviation, bool hasBias, bool isGated)
    {
        if (isGated && _rowOrder == MoeRowOrder.Separate)
        {
            RandomMatrix gate = AddMatrix(experts, outputs / 2, inputs, format, inputDeviation, hasBias, isGated: false);
            RandomMatrix up = AddMatrix(experts, outputs / 2, inputs, format, inputDeviation, hasBias, isGated: false);
            return gate with { RowOrder = MoeRowOrder.Separate, Up = up };
        }

        MoeTensorView bias = hasBias ? AddBell(1, experts, outputs, 0.25) : default;
        double growth = Math.Sqrt(inputs) * inputDeviation;
        RandomMatrix matrix = format switch
        {
            MoeWeightFormat.Mxfp4 => AddMxfp4(experts, outputs, inputs, growth),
            MoeWeightFormat.Nvfp4 => AddNvfp4(experts, outputs, inputs, growth),
            MoeWeightFormat.Fp8Block => AddFp8(experts, outputs, inputs, growth),
            _ => AddNumbers(experts, outputs, inputs, format, 1 / growth),
        };
        return matrix with { Bias = bias, RowOrder = isGated ? _rowOrder : MoeRowOrder.Interleaved };
    }

    private RandomMatrix AddNumbers(int experts, int outputs, int inputs, MoeWeightFormat format, double deviation)
    {
        (int rows, int columns) = _order == MoeMatrixOrder.OutputMajor ? (outputs, inputs) : (inputs, outputs);
        MoeElementType type = format switch
        {
            MoeWeightFormat.Float16 => MoeElementType.Float16,
            MoeWeightFormat.Float32 => MoeElementType.Float32,
            _ => MoeElementType.BFloat16,
        };
        return new RandomMatrix { Values = AddBell(experts, rows, columns, deviation, type), Order = _order };
    }

    private RandomMatrix AddMxfp4(int experts, int outputs, int inputs, double growth)
    {
        MoeTensorView codes = Add(MoeElementType.UInt8, experts, outputs, inputs / 2);
        RandomBits.FillBytes(codes, NextSeed());
        MoeTensorView scales = Add(MoeElementType.UInt8, experts, outputs, inputs / MoeExpertReader.Mxfp4Block);
        RandomBits.FillAround(scales, NextSeed(), ScaleBias - (int)Math.Round(Math.Log2(growth * CodeDeviation)));
        return new RandomMatrix { Values = codes, Scales = scales };
    }

    private RandomMatrix AddNvfp4(int experts, int outputs, int inputs, double growth)
    {
        MoeTensorView codes = Add(MoeElementType.UInt8, experts, outputs, inputs / 2);
        RandomBits.FillBytes(codes, NextSeed());
        MoeTensorView scales = Add(MoeElementType.Float8E4M3, experts, outputs, inputs / MoeExpertReader.Nvfp4Block);
        RandomBits.FillAround(scales, NextSeed(), E4M3One);
        MoeTensorView global = Add(MoeElementType.Float32, 1, 1, experts);
        RandomBits.FillScales(global, NextSeed(), 1 / (growth * CodeDeviation));
        return new RandomMatrix { Values = codes, Scales = scales, GlobalScales = global };
    }

    private RandomMatrix AddFp8(int experts, int outputs, int inputs, double growth)
    {
        MoeTensorView values = Add(MoeElementType.Float8E4M3, experts, outputs, inputs);
        RandomBits.FillE4M3(values, NextSeed());
        MoeTensorView scales = Add(MoeElementType.Float32, experts, (outputs + Fp8Block - 1) / Fp8Block, (inputs + Fp8Block - 1) / Fp8Block);
        RandomBits.FillScales(scales, NextSeed(), 1 / growth);
        return new RandomMatrix { Values = values, Scales = scales };
    }

    private MoeTensorView AddSelectionBias(MoeLayerShape shape)
    {
        // Large against the scores' spread, so that a choice that ignores it differs.
        MoeTensorView bias = Add(MoeElementType.Float32, 1, 1, shape.ExpertCount);
        RandomBits.FillBell(bias, NextSeed(), 0.2);
        return bias;
    }

    private unsafe MoeTensorView AddTable(MoeLayerShape shape)
    {
        MoeTensorView table = Add(MoeElementType.Int32, 1, VocabularySize, shape.TopK);
        ulong seed = NextSeed();
        for (int token = 0; token < VocabularySize; token++)
        {
            // Neighbours of a random expert: distinct.
            int first = (int)(RandomBits.At(seed, token) % (ulong)shape.ExpertCount);
            for (int k = 0; k < shape.TopK; k++)
            {
                ((int*)table.RowAddress(token))[k] = (first + k) % shape.ExpertCount;
            }
        }

        return table;
    }

    private MoeTensorView AddBell(int planes, int rows, int columns, double deviation, MoeElementType type = MoeElementType.BFloat16)
    {
        MoeTensorView view = Add(type, planes, rows, columns);
        RandomBits.FillBell(view, NextSeed(), deviation);
        return view;
    }

    private MoeTensorView Add(MoeElementType type, int planes, int rows, int columns)
    {
        MoeBuffer buffer = MoeBuffer.OnHost(type, rows, columns, planes);
        _buffers.Add(buffer);
        return buffer.View;
    }

    private ulong NextSeed() => RandomBits.At(_seed, _buffers.Count);
}
