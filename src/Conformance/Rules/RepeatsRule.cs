namespace Moe.Plugins.Conformance;

internal sealed class RepeatsRule() : ConformanceRule("forward-repeats", "A forward can be repeated, with the same result.")
{
    internal override void Check(RuleRun run)
    {
        foreach (MoeLayerShape shape in run.Shapes())
        {
            using LayerUnderTest layer = run.Make(shape);
            using IMoeWorkspace workspace = layer.MakeWorkspace();
            using MoeBuffer input = layer.Input(12, run.Subject.Seed);
            using ForwardResult first = run.Forward(layer, workspace, input);
            for (int i = 0; i < 3; i++)
            {
                using ForwardResult again = run.Forward(layer, workspace, input);
                run.RequireSame(layer, again, first, $"in forward {i + 2}");
            }
        }
    }
}
