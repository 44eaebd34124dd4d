namespace Moe.Plugins.Conformance;

internal sealed class InputUnchangedRule() : ConformanceRule("input-unchanged", "The caller's activations are as they were after a forward.")
{
    internal override void Check(RuleRun run)
    {
        foreach (MoeLayerShape shape in run.Shapes())
        {
            using LayerUnderTest layer = run.Make(shape);
            using IMoeWorkspace workspace = layer.MakeWorkspace();
            foreach (int tokens in new[] { 1, 20 })
            {
                using MoeBuffer input = layer.Input(tokens, run.Subject.Seed);
                using ForwardResult result = run.Forward(layer, workspace, input, new ForwardOptions { InputGap = 8 });
                if (result.InputChange is string change)
                {
                    run.Fail("the input as it was", change);
                }
            }
        }
    }
}
