namespace Moe.Plugins.Conformance;

internal sealed class WritesOnlyItsRowsRule() : ConformanceRule(
    "writes-only-its-rows", "Nothing outside of the rows of output, ids and weights is written: not before, not behind, not between them.")
{
    internal override void Check(RuleRun run)
    {
        foreach (MoeLayerShape shape in run.Shapes())
        {
            using LayerUnderTest layer = run.Make(shape);
            using IMoeWorkspace workspace = layer.MakeWorkspace();
            foreach ((int tokens, int gap) in new[] { (1, 0), (1, 8), (20, 0), (20, 8), (KitShapes.MaxTokens, 1) })
            {
                using MoeBuffer input = layer.Input(tokens, run.Subject.Seed);
                using ForwardResult result = run.Forward(layer, workspace, input, new ForwardOptions { OutputGap = gap });
                if (result.Trespass is string trespass)
                {
                    run.Fail("nothing but rows to be written", trespass);
                }
            }
        }
    }
}
