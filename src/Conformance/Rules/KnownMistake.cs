namespace Moe.Plugins.Conformance;

/// <summary>
/// A mistake that authors make, as an edit of the weights that comes to the same. One mistake breaks most rules at once, so that their names
/// alone do not tell which it was.
/// </summary>
internal sealed record KnownMistake(string Words, Action<RandomTensors> Edit)
{
    private static readonly KnownMistake[] Mxfp4 =
    [
        new("the high nibble of each byte is taken for the earlier input", static tensors =>
        {
            WeightEdit.SwapNibbles(tensors.GateUp.Values);
            WeightEdit.SwapNibbles(tensors.Down.Values);
        }),
        new("the first scale of a row is used for all of its blocks", static tensors =>
        {
            WeightEdit.RepeatFirstScale(tensors.GateUp.Scales);
            WeightEdit.RepeatFirstScale(tensors.Down.Scales);
        }),
    ];

    private static readonly KnownMistake[] All =
    [
        new("gate and up are taken for each other", static tensors => WeightEdit.SwapGatesAndUps(tensors.GateUp)),
        new("the shared experts are left out", static tensors =>
        {
            if (tensors.SharedDown is not null)
            {
                WeightEdit.ClearValues(tensors.SharedDown);
            }
        }),
        new("the biases of the first product are left out", static tensors => WeightEdit.Fill(tensors.GateUp.Bias, 0)),
        new("the biases of the second product are left out", static tensors => WeightEdit.Fill(tensors.Down.Bias, 0)),
    ];

    /// <summary>The mistake that gives just the result that a method gave; null where none of these does.</summary>
    /// <param name="layer">The layer that it was given by.</param>
    /// <param name="makeWeights">Makes the layer's weights once more, to be edited.</param>
    /// <param name="input">The tokens.</param>
    /// <param name="result">What the method made of them.</param>
    public static KnownMistake? Find(LayerUnderTest layer, Func<RandomLayer> makeWeights, MoeBuffer input, ForwardResult result)
    {
        MoeLayerShape shape = layer.Config.Shape;
        foreach (KnownMistake mistake in shape.WeightFormat == MoeWeightFormat.Mxfp4 ? [.. Mxfp4, .. All] : All)
        {
            using RandomLayer weights = makeWeights();
            mistake.Edit(weights.Tensors);
            OracleResult oracle = MoeOracle.Compute(shape, weights.Source, input.View, new OracleOptions { TopKIds = result.Ids.View });
            if (TensorDifference.Measure(result.Output.View, oracle).RelativeError <= layer.Method.Numerics.RelativeError)
            {
                return mistake;
            }
        }

        return null;
    }
}
