namespace Moe.Plugins.Conformance;

internal sealed class WeightsAreCountedRule() : ConformanceRule(
    "bytes-are-counted", "Weights report at least the bytes that the checkpoint's experts have, and a workspace reports what it takes.")
{
    internal override void Check(RuleRun run)
    {
        foreach (MoeLayerShape shape in run.Shapes())
        {
            using LayerUnderTest layer = run.Make(shape);
            long values = (long)shape.ExpertCount * shape.ExpertHiddenSize * (shape.GateUpSize + shape.IntermediateSize);
            long least = shape.WeightFormat == MoeWeightFormat.BFloat16 ? values * sizeof(ushort) : values / 2;
            if (layer.WeightBytes < least)
            {
                run.Fail($"at least {least} bytes of weights", $"{layer.WeightBytes}");
            }

            using IMoeWorkspace workspace = layer.MakeWorkspace();
            if (workspace.ByteCount < 0)
            {
                run.Fail("a workspace of no less than 0 bytes", $"{workspace.ByteCount}");
            }
        }
    }
}
