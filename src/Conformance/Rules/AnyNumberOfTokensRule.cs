namespace Moe.Plugins.Conformance;

internal sealed class AnyNumberOfTokensRule() : ConformanceRule(
    "any-number-of-tokens", "Any number of tokens from 1 to the most that the config names comes out right.")
{
    internal override void Check(RuleRun run)
    {
        int[] counts = [1, 2, 3, 5, 8, 15, 16, 17, 31, 33, KitShapes.MaxTokens - 1, KitShapes.MaxTokens];
        foreach (MoeLayerShape shape in run.Shapes())
        {
            using LayerUnderTest layer = run.Make(shape);
            using IMoeWorkspace workspace = layer.MakeWorkspace();
            foreach (int tokens in counts)
            {
                using MoeBuffer input = layer.Input(tokens, run.Subject.Seed + tokens);
                using ForwardResult result = run.Forward(layer, workspace, input);
                run.RequireNumerics(layer, input, result);
            }
        }
    }
}
