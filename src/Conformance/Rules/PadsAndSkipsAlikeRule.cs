namespace Moe.Plugins.Conformance;

internal sealed class PadsAndSkipsAlikeRule() : ConformanceRule(
    "pads-and-skips-alike", "A method that takes unpadded input or writes unpadded output gives the same result where the host has to pad and slice.")
{
    internal override void Check(RuleRun run)
    {
        bool applies = false;
        foreach (MoeLayerShape shape in run.Shapes())
        {
            var padding = new MoeLayerOptions { MaxTokens = KitShapes.MaxTokens, ForcePadding = true };
            using LayerUnderTest skips = run.Make(shape);
            using LayerUnderTest pads = run.Make(shape, padding);
            if (pads.Config.InputWidth == skips.Config.InputWidth && pads.Config.OutputWidth == skips.Config.OutputWidth)
            {
                continue;
            }

            applies = true;
            using IMoeWorkspace skipping = skips.MakeWorkspace();
            using IMoeWorkspace padded = pads.MakeWorkspace();
            foreach (int tokens in new[] { 1, 30 })
            {
                using MoeBuffer input = skips.Input(tokens, run.Subject.Seed);
                using ForwardResult skipped = run.Forward(skips, skipping, input);
                using ForwardResult whole = run.Forward(pads, padded, input);
                run.RequireSame(skips, whole, skipped, $"at width {pads.Config.InputWidth} as at {skips.Config.InputWidth}");
            }
        }

        if (!applies && run.Reason.Length == 0)
        {
            run.NotSupported("the method skips no padding, or none of these layers is padded: there is one way only");
        }
    }
}
