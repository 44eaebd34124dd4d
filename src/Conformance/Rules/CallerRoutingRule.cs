namespace Moe.Plugins.Conformance;

internal sealed class CallerRoutingRule() : ConformanceRule(
    "caller-routing-counts", "A choice of experts and weights that the caller hands in is used as it is.")
{
    internal override unsafe void Check(RuleRun run)
    {
        const int Tokens = 9;
        foreach (MoeLayerShape shape in run.Shapes())
        {
            using LayerUnderTest layer = run.Make(shape);
            using IMoeWorkspace workspace = layer.MakeWorkspace();
            using MoeBuffer input = layer.Input(Tokens, run.Subject.Seed);
            using var ids = MoeBuffer.OnHost(MoeElementType.Int32, Tokens, shape.TopK);
            using var weights = MoeBuffer.OnHost(MoeElementType.Float32, Tokens, shape.TopK);
            for (int i = 0; i < Tokens * shape.TopK; i++)
            {
                ((int*)ids.View.Address)[i] = (i * 3 / shape.TopK + (i % shape.TopK)) % shape.ExpertCount;
                ((float*)weights.View.Address)[i] = 0.1f + (i % 4 * 0.3f);
            }

            using ForwardResult result = run.Forward(layer, workspace, input, new ForwardOptions { Ids = ids, Weights = weights });
            OracleResult oracle = MoeOracle.Compute(
                shape, layer.Source, input.View, new OracleOptions { TopKIds = ids.View, TopKWeights = weights.View }, run.CancellationToken);
            TensorDifference difference = TensorDifference.Measure(result.Output.View, oracle);
            if (!(difference.RelativeError <= layer.Method.Numerics.RelativeError))
            {
                run.Fail($"a relative error of at most {layer.Method.Numerics.RelativeError:0.0e0} with the caller's routing", $"{difference.RelativeError:0.0e0}");
            }
        }
    }
}
