namespace Moe.Plugins.Conformance;

internal sealed class BytesBeyondRowsRule() : ConformanceRule(
    "bytes-beyond-rows-do-not-matter", "What lies behind the rows of the input, up to their stride and beyond the last, does not show in the result.")
{
    internal override void Check(RuleRun run)
    {
        foreach (MoeLayerShape shape in run.Shapes())
        {
            using LayerUnderTest layer = run.Make(shape);
            using IMoeWorkspace workspace = layer.MakeWorkspace();
            using MoeBuffer input = layer.Input(11, run.Subject.Seed);
            using ForwardResult dense = run.Forward(layer, workspace, input);
            using ForwardResult apart = run.Forward(layer, workspace, input, new ForwardOptions { InputGap = 64 });
            run.RequireSame(layer, apart, dense, "with NaN behind each row");
            run.RequireNumerics(layer, input, apart, " with NaN behind each row");
        }
    }
}
