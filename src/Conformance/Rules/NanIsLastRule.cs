namespace Moe.Plugins.Conformance;

internal sealed class NanIsLastRule() : ConformanceRule(
    "nan-is-ranked-last", "An expert whose router weights are NaN comes after every other, and is chosen only where there are too few others.")
{
    private const ushort Nan = 0x7FC0;

    internal override unsafe void Check(RuleRun run)
    {
        const int Tokens = 13;
        foreach (MoeLayerShape shape in run.Shapes(shape => shape.Router.Choice == MoeRouterChoice.TopK))
        {
            using LayerUnderTest layer = run.Make(shape, edit: random => Spoil(random.Tensors.RouterWeight));
            using IMoeWorkspace workspace = layer.MakeWorkspace();
            using MoeBuffer input = layer.Input(Tokens, run.Subject.Seed);
            using ForwardResult result = run.Forward(layer, workspace, input);
            OracleResult oracle = layer.Oracle(input, cancellationToken: run.CancellationToken);
            for (int token = 0; token < Tokens; token++)
            {
                var ids = new ReadOnlySpan<int>((void*)result.Ids.View.RowAddress(token), shape.TopK);
                int expected = Spoiled(oracle.Routing.Ids(token).Span);
                if (Spoiled(ids) != expected)
                {
                    run.Fail(
                        $"{expected} of the experts 0 and {shape.ExpertCount / 2}, whose router weights are NaN, for token {token}",
                        string.Join(", ", ids.ToArray()));
                    break;
                }
            }

            int Spoiled(ReadOnlySpan<int> ids) => ids.Count(0) + ids.Count(shape.ExpertCount / 2);
        }
    }

    // Two, and one weight of each: a NaN in a sum is one in its result.
    private static unsafe void Spoil(MoeTensorView weight)
    {
        ((ushort*)weight.RowAddress(0))[weight.Columns / 3] = Nan;
        ((ushort*)weight.RowAddress(weight.Rows / 2))[0] = Nan;
    }
}
