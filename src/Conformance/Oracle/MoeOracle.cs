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
    /// <param name="shape">The layer, or a part of one.</param>
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
        ArgumentCheck.ThrowIfUndefined(options.Activations);
        source.Validate(shape);
        CheckArguments(shape, source, input, options);

        int[] tokens = options.Tokens?.ToArray() ?? [.. Enumerable.Range(0, input.Rows)];
        double[] inputs = ReadInputs(shape, input, tokens);
        OracleRouting routing = OracleRouter.Route(shape, source, inputs, tokens, options);
        var parallel = new ParallelOptions { CancellationToken = cancellationToken };

        List<ExpertBatch> batches = ExpertBatch.Group(routing, tokens.Length, shape);
        double[] expertInputs = shape.Latent is null
            ? [.. inputs]
            : Project(new ExpertRows(source.Latent!.Down, shape.Latent.WeightFormat, shape.Latent.Width, shape.HiddenSize), inputs, parallel);
        double[] sums = Network(
            shape.Activation,
            shape.Router.WeightOn,
            new ExpertRows(source.GateUp, shape.WeightFormat, shape.GateUpSize, shape.ExpertHiddenSize),
            new ExpertRows(source.Down, shape.WeightFormat, shape.ExpertHiddenSize, shape.IntermediateSize),
            expertInputs,
            batches,
            options.Activations,
            parallel);
        double[] output = shape.Latent is null ? sums : Widen(shape, source.Latent!, sums, parallel);
        if (shape.Shared is not null)
        {
            AddShared(shape, source.Shared!, inputs, output, parallel);
        }

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
            throw new ArgumentException($"One of {nameof(options.Tokens)} is out of range; 0 to {input.Rows - 1} is expected.", nameof(options));
        }

        long visits = (long)(options.Tokens?.Count ?? input.Rows) * shape.TopK;
        if (visits * Math.Max(shape.HiddenSize, shape.IntermediateSize) > Array.MaxLength)
        {
            throw new ArgumentException($"{visits / shape.TopK} tokens are too many at once; give a sample of them in Tokens.", nameof(options));
        }

        bool fits = FitsBatch(options.TopKIds, MoeElementType.Int32, shape.TopK)
            && FitsBatch(options.TopKWeights, MoeElementType.Float32, shape.TopK)
            && FitsBatch(options.TokenIds, MoeElementType.Int32, 1);
        bool isComplete = options.TopKWeights.IsEmpty || !options.TopKIds.IsEmpty;
        bool needsRouter = options.TopKIds.IsEmpty || options.TopKWeights.IsEmpty;
        bool needsTokenIds = shape.Router.Choice == MoeRouterChoice.TokenTable && options.TopKIds.IsEmpty;
        if (!fits || !isComplete || (needsRouter && source.RouterWeight is null) || (needsTokenIds && options.TokenIds.IsEmpty))
        {
            throw new ArgumentException(
                "Without a router weight, ids and weights for every token are expected; with a table of tokens, every token's id.", nameof(options));
        }

        bool FitsBatch(MoeTensorView view, MoeElementType type, int columns) => view.IsEmpty
            || (view.ElementType == type && view.Device.Kind == MoeDeviceKind.Cpu && view.Rows == input.Rows && view.Columns == columns);
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

    /// <summary>Both products of the experts, weighted and summed: [tokens, outputs of the second].</summary>
    private static double[] Network(
        MoeActivation activation,
        MoeWeightOn weightOn,
        ExpertRows gateUp,
        ExpertRows down,
        double[] inputs,
        List<ExpertBatch> batches,
        OracleActivations rounding,
        ParallelOptions parallel)
    {
        bool weighsInput = weightOn switch
        {
            MoeWeightOn.Output => false,
            MoeWeightOn.Input => true,
            _ => throw new ArgumentException($"Weights on {weightOn} are not what the oracle knows."),
        };
        Round(inputs, gateUp.Inputs, rounding);
        double[] activations = FirstProduct(activation, weighsInput, gateUp, inputs, batches, parallel);
        Round(activations, down.Inputs, rounding);
        return SecondProduct(weighsInput, down, activations, inputs.Length / gateUp.Inputs, batches, parallel);
    }

    private static void Round(double[] rows, int columns, OracleActivations rounding)
    {
        if (rounding == OracleActivations.Mxfp8)
        {
            OracleMxfp8.Round(rows, columns);
        }
    }

    /// <summary>Activation of gate_up · x + bias for every visit of a token to an expert: [visits, intermediate].</summary>
    private static double[] FirstProduct(
        MoeActivation activation, bool weighsInput, ExpertRows matrix, double[] inputs, List<ExpertBatch> batches, ParallelOptions parallel)
    {
        int hidden = matrix.Inputs;
        int rowsOfNeuron = activation.IsGated ? 2 : 1;
        int intermediate = matrix.Outputs / rowsOfNeuron;
        int tiles = CeilDivide(matrix.Outputs, Tile);
        double[] activations = new double[batches.Sum(batch => batch.Visits.Count) * intermediate];
        Parallel.For(0, batches.Count * tiles, parallel, () => new double[Tile * hidden], (work, _, rows) =>
        {
            ExpertBatch batch = batches[work / tiles];
            int first = work % tiles * Tile;
            int count = Math.Min(Tile, matrix.Outputs - first);
            matrix.Read(batch.Expert, first, count, rows);
            for (int row = 0; row < count; row += rowsOfNeuron)
            {
                int up = row + rowsOfNeuron - 1;
                double gateBias = matrix.Bias(batch.Expert, first + row);
                double upBias = matrix.Bias(batch.Expert, first + up);
                for (int i = 0; i < batch.Visits.Count; i++)
                {
                    ReadOnlySpan<double> x = inputs.AsSpan(batch.Visits[i].Token * hidden, hidden);
                    double weight = weighsInput ? batch.Visits[i].Weight : 1;
                    double gateSum = gateBias + (weight * DoubleDot.Of(rows.AsSpan(row * hidden, hidden), x));
                    double upSum = upBias + (weight * DoubleDot.Of(rows.AsSpan(up * hidden, hidden), x));
                    activations[((batch.FirstVisit + i) * intermediate) + ((first + row) / rowsOfNeuron)] = OracleActivation.Apply(activation, gateSum, upSum);
                }
            }

            return rows;
        }, _ => { });
        return activations;
    }

    /// <summary>Weighted sum of down · activation + bias over the experts of each token: [tokens, outputs].</summary>
    private static double[] SecondProduct(
        bool weighsInput, ExpertRows matrix, double[] activations, int tokens, List<ExpertBatch> batches, ParallelOptions parallel)
    {
        int hidden = matrix.Outputs;
        int intermediate = matrix.Inputs;
        double[] output = new double[tokens * hidden];

        // A tile of outputs is one thread's for all experts: sums need no lock, and their order never changes.
        Parallel.For(0, CeilDivide(hidden, Tile), parallel, () => new double[Tile * intermediate], (tile, _, rows) =>
        {
            int first = tile * Tile;
            int count = Math.Min(Tile, hidden - first);
            foreach (ExpertBatch batch in batches)
            {
                matrix.Read(batch.Expert, first, count, rows);
                for (int i = 0; i < batch.Visits.Count; i++)
                {
                    ExpertVisit visit = batch.Visits[i];
                    double weight = weighsInput ? 1 : visit.Weight;
                    ReadOnlySpan<double> activation = activations.AsSpan((batch.FirstVisit + i) * intermediate, intermediate);
                    for (int row = 0; row < count; row++)
                    {
                        double sum = matrix.Bias(batch.Expert, first + row) + DoubleDot.Of(rows.AsSpan(row * intermediate, intermediate), activation);
                        output[(visit.Token * hidden) + first + row] += weight * sum;
                    }
                }
            }

            return rows;
        }, _ => { });
        return output;
    }

    /// <summary>One matrix times each row: [tokens, outputs].</summary>
    private static double[] Project(ExpertRows matrix, double[] rows, ParallelOptions parallel)
    {
        int tokens = rows.Length / matrix.Inputs;
        double[] result = new double[tokens * matrix.Outputs];
        Parallel.For(0, matrix.Outputs, parallel, () => new double[matrix.Inputs], (output, _, weights) =>
        {
            matrix.Read(0, output, 1, weights);
            for (int token = 0; token < tokens; token++)
            {
                result[(token * matrix.Outputs) + output] = DoubleDot.Of(weights, rows.AsSpan(token * matrix.Inputs, matrix.Inputs));
            }

            return weights;
        }, _ => { });
        return result;
    }

    /// <summary>From the latent width to the hidden size: the norm where there is one, then the projection.</summary>
    private static double[] Widen(MoeLayerShape shape, MoeLatentWeights weights, double[] sums, ParallelOptions parallel)
    {
        int width = shape.Latent!.Width;
        if (shape.Latent.NormEpsilon is float epsilon)
        {
            double[] scale = new double[width];
            FloatReader.ReadRow(weights.Norm!, 0, 0, scale);
            for (int token = 0; token < sums.Length / width; token++)
            {
                Span<double> row = sums.AsSpan(token * width, width);
                double factor = 1 / Math.Sqrt((DoubleDot.Of(row, row) / width) + epsilon);
                for (int i = 0; i < width; i++)
                {
                    row[i] *= factor * scale[i];
                }
            }
        }

        return Project(new ExpertRows(weights.Up, shape.Latent.WeightFormat, shape.HiddenSize, width), sums, parallel);
    }

    private static void AddShared(MoeLayerShape shape, MoeSharedWeights weights, double[] inputs, double[] output, ParallelOptions parallel)
    {
        MoeSharedExperts shared = shape.Shared!;
        int hidden = shape.HiddenSize;
        int tokens = inputs.Length / hidden;
        double[] gate = new double[hidden];
        if (weights.Gate is not null)
        {
            FloatReader.ReadRow(weights.Gate, 0, 0, gate);
        }

        // One expert that every token visits; its weight is the gate.
        var visits = new List<ExpertVisit>(tokens);
        for (int token = 0; token < tokens; token++)
        {
            double opened = weights.Gate is null ? 1 : 1 / (1 + Math.Exp(-DoubleDot.Of(gate, inputs.AsSpan(token * hidden, hidden))));
            visits.Add(new ExpertVisit(token, opened));
        }

        int rowsOfNeuron = shared.Activation.IsGated ? 2 : 1;
        double[] sums = Network(
            shared.Activation,
            MoeWeightOn.Output,
            new ExpertRows(weights.GateUp, shared.WeightFormat, rowsOfNeuron * shared.IntermediateSize, hidden),
            new ExpertRows(weights.Down, shared.WeightFormat, hidden, shared.IntermediateSize),
            [.. inputs],
            [new ExpertBatch(0, 0, visits)],
            OracleActivations.Exact,
            parallel);
        for (int i = 0; i < output.Length; i++)
        {
            output[i] += sums[i];
        }
    }

    private static int CeilDivide(int value, int divisor) => (value + divisor - 1) / divisor;
}
