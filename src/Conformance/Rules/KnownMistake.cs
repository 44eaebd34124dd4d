namespace Moe.Plugins.Conformance;

/// <summary>
/// A mistake that authors make, as an edit of the weights that comes to the same. One mistake breaks most rules at once, so that their names
/// alone do not tell which it was.
/// </summary>
internal sealed record KnownMistake(string Words, Action<MoeWeightSource> Edit)
{
    private static readonly KnownMistake[] Mxfp4 =
    [
        new("the high nibble of each byte is taken for the earlier input", static source =>
        {
            WeightEdit.SwapNibbles(source.GateUp.Values);
            WeightEdit.SwapNibbles(source.Down.Values);
        }),
        new("the first scale of a row is used for all of its blocks", static source =>
        {
            WeightEdit.RepeatFirstScale(source.GateUp.Scales);
            WeightEdit.RepeatFirstScale(source.Down.Scales);
        }),
    ];

    private static readonly KnownMistake[] All =
    [
        new("gate and up are taken for each other", static source => WeightEdit.SwapRowPairs(source.GateUp)),
        new("the biases of the first product are left out", static source => WeightEdit.Fill(source.GateUp.Bias, 0)),
        new("the biases of the second product are left out", static source => WeightEdit.Fill(source.Down.Bias, 0)),
    ];

    /// <summary>The mistake that gives just the result that a method gave; null where none of these does.</summary>
    /// <param name="layer">The layer that it was given by.</param>
    /// <param name="makeWeights">Makes the layer's weights once more, to be edited.</param>
    /// <param name="input">The tokens.</param>
    /// <param name="result">What the method made of them.</param>
    public static KnownMistake? Find(LayerUnderTest layer, Func<RandomLayer> makeWeights, HostTensor input, ForwardResult result)
    {
        MoeLayerShape shape = layer.Config.Shape;
        foreach (KnownMistake mistake in shape.WeightFormat == MoeWeightFormat.Mxfp4 ? [.. Mxfp4, .. All] : All)
        {
            using RandomLayer weights = makeWeights();
            mistake.Edit(weights.Source);
            OracleResult oracle = MoeOracle.Compute(shape, weights.Source, input.View, new OracleOptions { TopKIds = result.Ids.View });
            if (TensorDifference.Measure(result.Output.View, oracle).RelativeError <= layer.Method.Numerics.RelativeError)
            {
                return mistake;
            }
        }

        return null;
    }
}
