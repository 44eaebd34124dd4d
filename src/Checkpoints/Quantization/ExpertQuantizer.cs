namespace Moe.Plugins.Checkpoints;

/// <summary>Rounds the experts of a layer, one after the other, so that no more than one is in memory.</summary>
/// <param name="layer">The layer.</param>
/// <param name="rounding">The rule.</param>
internal sealed class ExpertQuantizer(CheckpointLayer layer, Mxfp4Rounding rounding)
{
    private readonly MoeExpertReader _first = new(
        layer.Source.GateUp, layer.Shape.WeightFormat, layer.Shape.GateUpSize, layer.Shape.ExpertHiddenSize);

    private readonly MoeExpertReader _second = new(
        layer.Source.Down, layer.Shape.WeightFormat, layer.Shape.ExpertHiddenSize, layer.Shape.IntermediateSize);

    /// <summary>Writes codes, scales and biases of all experts, in the order of the plan.</summary>
    /// <param name="stream">Where they go.</param>
    /// <param name="written">Told how many bytes one more expert took.</param>
    /// <param name="cancellationToken">Ends it between two experts.</param>
    /// <returns>What rounding cost.</returns>
    /// <exception cref="MoeException">A weight is NaN or infinite, or a tensor cannot be read.</exception>
    public MoeRoundingSums Write(Stream stream, Action<long> written, CancellationToken cancellationToken)
    {
        MoeRoundingSums sums = default;
        for (int expert = 0; expert < layer.Shape.ExpertCount; expert++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            long before = stream.Position;
            int step = layer.Shape.Activation.IsGated ? 2 : 1;
            using Matrix first = Read(_first, expert, layer.Source.GateUp.Bias?.ElementType ?? default);
            for (int part = 0; part < step; part++)
            {
                // Gates and ups come interleaved, and are stored apart.
                sums += Write(stream, first, part, step, expert);
            }

            using Matrix second = Read(_second, expert, layer.Source.Down.Bias?.ElementType ?? default);
            sums += Write(stream, second, 0, 1, expert);
            written(stream.Position - before);
        }

        return sums;
    }

    private static unsafe Matrix Read(MoeExpertReader reader, int expert, MoeElementType biasType)
    {
        MoeBuffer values = MoeBuffer.OnHost(MoeElementType.Float32, reader.Outputs, reader.Inputs);
        float[] bias = new float[reader.Outputs];
        try
        {
            reader.ReadSingles(expert, values.View.Address);
            fixed (float* target = bias)
            {
                reader.ReadBias(expert, (nint)target);
            }

            return new Matrix(values, bias, biasType);
        }
        catch
        {
            values.Dispose();
            throw;
        }
    }

    private MoeRoundingSums Write(Stream stream, Matrix matrix, int first, int step, int expert)
    {
        MoeTensorView view = matrix.Values.View;
        int rows = view.Rows / step;
        byte[] codes = new byte[rows * view.Columns / 2];
        byte[] scales = new byte[rows * view.Columns / MoeExpertReader.Mxfp4Block];
        var sums = new MoeRoundingSums[rows];
        try
        {
            Parallel.For(0, rows, row => sums[row] = Round(view, first + (row * step), row, codes, scales));
        }
        catch (AggregateException exception) when (exception.InnerException is NotFiniteNumberException)
        {
            throw new MoeException(
                MoeReason.Checkpoint, $"Expert {expert} of layer '{PlainText.Of(layer.Name)}' has a weight that is NaN or infinite, which MXFP4 has no code for.");
        }

        stream.Write(codes);
        stream.Write(scales);
        if (layer.Shape.HasExpertBias)
        {
            for (int row = 0; row < rows; row++)
            {
                stream.Write(ExpertBias.Encode(matrix.Bias[first + (row * step)], matrix.BiasType));
            }
        }

        // In order, so that the sum has the same bits whoever computed which row.
        return sums.Aggregate(default(MoeRoundingSums), (all, one) => all + one);
    }

    private unsafe MoeRoundingSums Round(MoeTensorView view, int source, int row, byte[] codes, byte[] scales) => rounding.Round(
        new ReadOnlySpan<float>((void*)view.RowAddress(source), view.Columns),
        codes.AsSpan(row * view.Columns / 2, view.Columns / 2),
        scales.AsSpan(row * view.Columns / MoeExpertReader.Mxfp4Block, view.Columns / MoeExpertReader.Mxfp4Block));

    private sealed record Matrix(MoeBuffer Values, float[] Bias, MoeElementType BiasType) : IDisposable
    {
        public void Dispose() => Values.Dispose();
    }
}
