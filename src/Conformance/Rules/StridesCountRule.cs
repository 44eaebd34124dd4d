namespace Moe.Plugins.Conformance;

internal sealed class StridesCountRule() : ConformanceRule("strides-count", "Rows may lie apart by any stride, even an odd number of elements, in all tensors.")
{
    internal override void Check(RuleRun run)
    {
        foreach (MoeLayerShape shape in run.Shapes())
        {
            using LayerUnderTest layer = run.Make(shape);
            using IMoeWorkspace workspace = layer.MakeWorkspace();
            foreach (int tokens in new[] { 1, 21 })
            {
                using MoeBuffer input = layer.Input(tokens, run.Subject.Seed);
                using ForwardResult result = run.Forward(layer, workspace, input, new ForwardOptions { InputGap = 3, OutputGap = 5 });
                run.RequireNumerics(layer, input, result, " where rows lie 3 and 5 elements apart");
            }
        }
    }
}
