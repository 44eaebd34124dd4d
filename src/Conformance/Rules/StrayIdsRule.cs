namespace Moe.Plugins.Conformance;

internal sealed class StrayIdsRule() : ConformanceRule(
    "stray-ids-add-nothing", "A caller's id that is no expert's is refused with an ArgumentException, or adds nothing; the others count.")
{
    internal override unsafe void Check(RuleRun run)
    {
        const int Tokens = 11;
        foreach (MoeLayerShape shape in run.Shapes(shape => shape.Router.WeightOn == MoeWeightOn.Output))
        {
            using LayerUnderTest layer = run.Make(shape);
            using IMoeWorkspace workspace = layer.MakeWorkspace();
            using MoeBuffer input = layer.Input(Tokens, run.Subject.Seed);
            using var ids = MoeBuffer.OnHost(MoeElementType.Int32, Tokens, shape.TopK);
            using var weights = MoeBuffer.OnHost(MoeElementType.Float32, Tokens, shape.TopK);
            using var known = MoeBuffer.OnHost(MoeElementType.Int32, Tokens, shape.TopK);
            using var counted = MoeBuffer.OnHost(MoeElementType.Float32, Tokens, shape.TopK);
            int[] strays = [-1, shape.ExpertCount, int.MaxValue, int.MinValue];
            for (int i = 0; i < Tokens * shape.TopK; i++)
            {
                int id = (i / shape.TopK + (i % shape.TopK)) % shape.ExpertCount;
                bool isStray = i % 3 == 1;
                float weight = 0.2f + (i % 4 * 0.3f);
                ((int*)known.View.Address)[i] = id;
                ((int*)ids.View.Address)[i] = isStray ? strays[i / 3 % strays.Length] : id;
                ((float*)weights.View.Address)[i] = weight;
                ((float*)counted.View.Address)[i] = isStray ? 0 : weight;
            }

            ForwardResult result;
            try
            {
                result = run.Forward(layer, workspace, input, new ForwardOptions { Ids = ids, Weights = weights });
            }
            catch (ArgumentException)
            {
                continue;
            }

            using (result)
            {
                OracleResult oracle = MoeOracle.Compute(
                    shape, layer.Source, input.View, new OracleOptions { TopKIds = known.View, TopKWeights = counted.View }, run.CancellationToken);
                TensorDifference difference = TensorDifference.Measure(result.Output.View, oracle);
                if (!(difference.RelativeError <= layer.Method.Numerics.RelativeError))
                {
                    run.Fail(
                        $"an ArgumentException, or a relative error of at most {layer.Method.Numerics.RelativeError:0.0e0} against the result without them",
                        $"{difference.RelativeError:0.0e0}");
                }
            }
        }
    }
}
