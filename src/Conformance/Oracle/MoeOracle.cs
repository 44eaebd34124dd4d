namespace Moe.Plugins.Conformance;

/// <summary>
/// Computes a layer in float64 from the checkpoint's own tensors: what a backend's result is held against. It shares no code with
/// any backend, knows no padding, and is written to be read.
/// </summary>
public static class MoeOracle
{
    /// <summary>Outputs that are dequantised together: a cache line of an input-major BF16 row. Even, so that gate and up stay together.</summary>
    private const int Tile = 32;

    /// <summary>Computes a batch, or a sample of it, on all processors.</summary>
    /// <param name="shape">The layer.</param>
    /// <param name="source">Its tensors.</param>
    /// <param name="input">[tokens, hidden] BF16 or float32 in host memory.</param>
    /// <param name="options">Which tokens, who routes, how activations are rounded; null computes all tokens with the layer's router, exactly.</param>
    /// <param name="cancellationToken">Ends the computation early.</param>
    /// <exception cref="MoeException">The tensors do not fit the shape.</exception>
    /// <exception cref="ArgumentException">The input, a token or a given routing does not fit the layer.</exception>
    public static OracleResult Compute(
        MoeLayerShape shape,
        MoeWeightSource source,
        MoeTensorView input,
        OracleOptions? options = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(shape);
        ArgumentNullException.ThrowIfNull(source);
        options ??= new OracleOptions();
        source.Validate(shape);
        CheckArguments(shape, source, input, options);

        int[] tokens = options.Tokens?.ToArray() ?? [.. Enumerable.Range(0, input.Rows)];
        double[] inputs = ReadInputs(shape, input, tokens);
        OracleRouting routing = OracleRouter.Route(shape, source, inputs, tokens, options);
        List<ExpertBatch> batches = ExpertBatch.Group(routing, tokens.Length, shape);
        var parallel = new ParallelOptions { CancellationToken = cancellationToken };
        Round(inputs, shape.HiddenSize, options.Activations);
        double[] activations = FirstProduct(shape, source.GateUp, inputs, batches, parallel);
        Round(activations, shape.IntermediateSize, options.Activations);
        double[] output = SecondProduct(shape, source.Down, activations, tokens.Length, batches, parallel);
        return new OracleResult(shape, tokens, routing, output);
    }

    private static void CheckArguments(MoeLayerShape shape, MoeWeightSource source, MoeTensorView input, OracleOptions options)
    {
        FloatReader.Require(input, nameof(input));
        if (input.Columns != shape.HiddenSize)
        {
            throw new ArgumentException($"The input is {input.Columns} wide; the hidden size, {shape.HiddenSize}, is expected.", nameof(input));
        }

        if (options.Tokens?.Any(token => token < 0 || token >= input.Rows) == true)
        {
            throw new ArgumentException($"A token is out of range; 0 to {input.Rows - 1} is expected.", nameof(options));
        }

        long visits = (long)(options.Tokens?.Count ?? input.Rows) * shape.TopK;
        if (visits * Math.Max(shape.HiddenSize, shape.IntermediateSize) > Array.MaxLength)
        {
            throw new ArgumentException($"{visits / shape.TopK} tokens are too many at once; give a sample of them in Tokens.", nameof(options));
        }

        bool fits = FitsBatch(options.TopKIds, MoeElementType.Int32) && FitsBatch(options.TopKWeights, MoeElementType.Float32);
        bool isComplete = options.TopKWeights.IsEmpty || !options.TopKIds.IsEmpty;
        bool needsRouter = options.TopKIds.IsEmpty || options.TopKWeights.IsEmpty;
        if (!fits || !isComplete || (needsRouter && source.RouterWeight.IsEmpty))
        {
            throw new ArgumentException("Without a router weight, ids and weights for every token are expected.", nameof(options));
        }

        bool FitsBatch(MoeTensorView view, MoeElementType type) => view.IsEmpty
            || (view.ElementType == type && view.Device.Kind == MoeDeviceKind.Cpu && view.Rows == input.Rows && view.Columns == shape.TopK);
    }

    private static void Round(double[] rows, int columns, OracleActivations rounding)
    {
        if (rounding == OracleActivations.Mxfp8)
        {
            OracleMxfp8.Round(rows, columns);
        }
    }

    private static double[] ReadInputs(MoeLayerShape shape, MoeTensorView input, int[] tokens)
    {
        double[] inputs = new double[tokens.Length * shape.HiddenSize];
        for (int i = 0; i < tokens.Length; i++)
        {
            FloatReader.ReadRow(input, tokens[i], 0, inputs.AsSpan(i * shape.HiddenSize, shape.HiddenSize));
        }

        return inputs;
    }

    /// <summary>Activation of gate_up · x + bias for every visit of a token to an expert: [visits, intermediate].</summary>
    private static double[] FirstProduct(
        MoeLayerShape shape,
        MoeExpertMatrix matrix,
        double[] inputs,
        List<ExpertBatch> batches,
        ParallelOptions parallel)
    {
        int hidden = shape.HiddenSize;
        int outputs = 2 * shape.IntermediateSize;
        int tiles = CeilDivide(outputs, Tile);
        double[] activations = new double[batches.Sum(batch => batch.Visits.Count) * shape.IntermediateSize];
        Parallel.For(0, batches.Count * tiles, parallel, () => new double[Tile * hidden], (work, _, rows) =>
        {
            ExpertBatch batch = batches[work / tiles];
            int first = work % tiles * Tile;
            int count = Math.Min(Tile, outputs - first);
            ExpertRows.Read(matrix, batch.Expert, first, count, hidden, rows);
            for (int row = 0; row < count; row += 2)
            {
                double gateBias = Bias(matrix, batch.Expert, first + row);
                double upBias = Bias(matrix, batch.Expert, first + row + 1);
                for (int i = 0; i < batch.Visits.Count; i++)
                {
                    ReadOnlySpan<double> x = inputs.AsSpan(batch.Visits[i].Token * hidden, hidden);
                    double gate = gateBias + DoubleDot.Of(rows.AsSpan(row * hidden, hidden), x);
                    double up = upBias + DoubleDot.Of(rows.AsSpan((row + 1) * hidden, hidden), x);
                    int visit = batch.FirstVisit + i;
                    activations[(visit * shape.IntermediateSize) + ((first + row) / 2)] = OracleActivation.Apply(shape.Activation, gate, up);
                }
            }

            return rows;
        }, _ => { });
        return activations;
    }

    /// <summary>Weighted sum of down · activation + bias over the experts of each token: [tokens, hidden].</summary>
    private static double[] SecondProduct(
        MoeLayerShape shape,
        MoeExpertMatrix matrix,
        double[] activations,
        int tokens,
        List<ExpertBatch> batches,
        ParallelOptions parallel)
    {
        int hidden = shape.HiddenSize;
        int intermediate = shape.IntermediateSize;
        double[] output = new double[tokens * hidden];

        // A tile of outputs is one thread's for all experts: sums need no lock, and their order never changes.
        Parallel.For(0, CeilDivide(hidden, Tile), parallel, () => new double[Tile * intermediate], (tile, _, rows) =>
        {
            int first = tile * Tile;
            int count = Math.Min(Tile, hidden - first);
            foreach (ExpertBatch batch in batches)
            {
                ExpertRows.Read(matrix, batch.Expert, first, count, intermediate, rows);
                for (int i = 0; i < batch.Visits.Count; i++)
                {
                    ExpertVisit visit = batch.Visits[i];
                    ReadOnlySpan<double> activation = activations.AsSpan((batch.FirstVisit + i) * intermediate, intermediate);
                    for (int row = 0; row < count; row++)
                    {
                        double sum = Bias(matrix, batch.Expert, first + row) + DoubleDot.Of(rows.AsSpan(row * intermediate, intermediate), activation);
                        output[(visit.Token * hidden) + first + row] += visit.Weight * sum;
                    }
                }
            }

            return rows;
        }, _ => { });
        return output;
    }

    private static double Bias(MoeExpertMatrix matrix, int expert, int output) =>
        matrix.Bias.IsEmpty ? 0 : FloatReader.Read(matrix.Bias, expert, output);

    private static int CeilDivide(int value, int divisor) => (value + divisor - 1) / divisor;
}
