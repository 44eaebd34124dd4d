namespace Moe.Plugins.Conformance;

internal sealed class NoTokensRule() : ConformanceRule("no-tokens", "A batch of no tokens is allowed, and writes nothing.")
{
    internal override void Check(RuleRun run)
    {
        foreach (MoeLayerShape shape in run.Shapes())
        {
            using LayerUnderTest layer = run.Make(shape);
            using IMoeWorkspace workspace = layer.MakeWorkspace();
            using MoeBuffer input = layer.Input(0, run.Subject.Seed);
            using ForwardResult result = run.Forward(layer, workspace, input);
            if (result.Trespass is string trespass)
            {
                run.Fail("nothing to be written", trespass);
            }
        }
    }
}
