namespace Moe.Plugins.Conformance;

internal sealed class DeterministicRule() : ConformanceRule("deterministic", "Where a method says that it is deterministic, 20 runs give the same bits.")
{
    private const int Runs = 20;

    internal override void Check(RuleRun run)
    {
        foreach (MoeLayerShape shape in run.Shapes())
        {
            using LayerUnderTest layer = run.Make(shape);
            if (!layer.Method.Numerics.IsDeterministic)
            {
                run.NotSupported("the method does not say that it is deterministic");
                return;
            }

            using IMoeWorkspace workspace = layer.MakeWorkspace();
            foreach (int tokens in new[] { 1, 40 })
            {
                using MoeBuffer input = layer.Input(tokens, run.Subject.Seed);
                using ForwardResult first = run.Forward(layer, workspace, input);
                for (int i = 1; i < Runs && !run.HasFailed; i++)
                {
                    using ForwardResult again = run.Forward(layer, workspace, input);
                    run.RequireSame(layer, again, first, $"in run {i + 1}");
                }
            }
        }
    }
}
