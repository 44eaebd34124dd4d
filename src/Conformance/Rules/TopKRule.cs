namespace Moe.Plugins.Conformance;

internal sealed class TopKRule() : ConformanceRule(
    "top-k", "The router takes the largest logits, best first, of equal ones the lowest id, and weighs them as the layer's scoring says.")
{
    /// <summary>Weights are float32 of logits that were summed in float32 from BF16 activations.</summary>
    private const double WeightError = 2e-3;

    internal override void Check(RuleRun run)
    {
        foreach (MoeLayerShape shape in run.Shapes())
        {
            using LayerUnderTest layer = run.Make(shape);
            using IMoeWorkspace workspace = layer.MakeWorkspace();
            using MoeBuffer input = layer.Input(48, run.Subject.Seed + 1);
            using ForwardResult result = run.Forward(layer, workspace, input);
            OracleResult own = layer.Oracle(input, cancellationToken: run.CancellationToken);
            RoutingDifference routing = RoutingDifference.Measure(result.Ids.View, own);
            if (routing.TokenCount > 0 && !routing.IsTie)
            {
                run.Fail("the oracle's choice of experts", $"{routing.TokenCount} of 48 tokens sent elsewhere, by a gap of {routing.LargestGap:g3}");
                continue;
            }

            OracleResult weighed = MoeOracle.Compute(
                shape, layer.Source, input.View, new OracleOptions { TopKIds = result.Ids.View }, run.CancellationToken);
            CheckWeights(run, result, weighed);
        }
    }

    private static void CheckWeights(RuleRun run, ForwardResult result, OracleResult weighed)
    {
        for (int token = 0; token < weighed.Tokens.Count; token++)
        {
            ReadOnlySpan<double> expected = weighed.Routing.Weights(token).Span;
            for (int k = 0; k < expected.Length; k++)
            {
                double got = FloatReader.Read(result.Weights.View, token, k);
                if (!(Math.Abs(got - expected[k]) <= WeightError))
                {
                    run.Fail($"weight {expected[k]:g5} for choice {k} of token {token}", $"{got:g5}");
                    return;
                }
            }
        }
    }
}
