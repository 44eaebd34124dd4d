namespace Moe.Plugins.Conformance;

internal sealed class WorkspaceRemembersNothingRule() : ConformanceRule(
    "workspace-remembers-nothing", "What a workspace was used for before does not show: a small batch after a large one is as from a new workspace.")
{
    internal override void Check(RuleRun run)
    {
        foreach (MoeLayerShape shape in run.Shapes())
        {
            using LayerUnderTest layer = run.Make(shape);
            using IMoeWorkspace used = layer.MakeWorkspace();
            using IMoeWorkspace fresh = layer.MakeWorkspace();
            using MoeBuffer large = layer.Input(KitShapes.MaxTokens, run.Subject.Seed);
            using MoeBuffer small = layer.Input(3, run.Subject.Seed + 1);
            run.Forward(layer, used, large).Dispose();
            using ForwardResult after = run.Forward(layer, used, small);
            using ForwardResult alone = run.Forward(layer, fresh, small);
            run.RequireSame(layer, after, alone, $"as in a new workspace, after a batch of {KitShapes.MaxTokens}");
        }
    }
}
