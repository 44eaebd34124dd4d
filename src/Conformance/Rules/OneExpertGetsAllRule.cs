namespace Moe.Plugins.Conformance;

internal sealed class OneExpertGetsAllRule() : ConformanceRule(
    "experts-with-none-and-all", "An expert may get every token of a batch, and others none.")
{
    internal override unsafe void Check(RuleRun run)
    {
        const int Tokens = 50;
        foreach (MoeLayerShape shape in run.Shapes())
        {
            using LayerUnderTest layer = run.Make(shape);
            using IMoeWorkspace workspace = layer.MakeWorkspace();
            using MoeBuffer input = layer.Input(Tokens, run.Subject.Seed);
            using var ids = MoeBuffer.OnHost(MoeElementType.Int32, Tokens, shape.TopK);
            using var weights = MoeBuffer.OnHost(MoeElementType.Float32, Tokens, shape.TopK);
            for (int i = 0; i < Tokens * shape.TopK; i++)
            {
                // The last experts, the same ones for every token.
                ((int*)ids.View.Address)[i] = shape.ExpertCount - 1 - (i % shape.TopK);
                ((float*)weights.View.Address)[i] = 1f / shape.TopK;
            }

            using ForwardResult result = run.Forward(layer, workspace, input, new ForwardOptions { Ids = ids, Weights = weights });
            run.RequireNumerics(layer, input, result, " where the same experts get all tokens", weights);
        }
    }
}
