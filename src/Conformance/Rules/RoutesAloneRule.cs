namespace Moe.Plugins.Conformance;

internal sealed class RoutesAloneRule() : ConformanceRule(
    "routes-alone", "A router that runs without a forward, where the backend has that, writes the ids and weights of a forward, and nothing else.")
{
    internal override void Check(RuleRun run)
    {
        bool hasAny = false;
        foreach (MoeLayerShape shape in run.Shapes())
        {
            using LayerUnderTest layer = run.Make(shape);
            using IMoeWorkspace workspace = layer.MakeWorkspace();
            if (!workspace.CanRoute)
            {
                continue;
            }

            hasAny = true;
            foreach (int tokens in new[] { 13, 1, 0, KitShapes.MaxTokens })
            {
                using MoeBuffer input = layer.Input(tokens, run.Subject.Seed);
                using ForwardResult expected = run.Forward(layer, workspace, input, new ForwardOptions { OutputGap = 1 });
                if (layer.RouteOtherwise(workspace, input, expected) is string difference)
                {
                    run.Fail("the ids and weights of a forward, and nothing else written", difference);
                }
            }
        }

        if (!hasAny)
        {
            run.NotSupported("the backend does not route without a forward");
        }
    }
}
