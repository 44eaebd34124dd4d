namespace Moe.Plugins.Conformance;

internal sealed class RoundingPureRule() : ConformanceRule(
    "rounding-pure", "Rounding and capabilities depend on nothing but the layer: not on earlier calls, and not on which of two methods is asked.")
{
    private static readonly int[] Sizes = [1, 31, 32, 100, 128, 129, 720, 2880, 3072, 4097];

    internal override void Check(RuleRun run)
    {
        foreach (Func<IMoeQuantMethod> make in run.Methods())
        {
            using IMoeQuantMethod one = make();
            string first = Describe(one);
            using IMoeQuantMethod other = make();
            string second = Describe(other);
            string again = Describe(one);
            if (first != again)
            {
                run.Fail($"{first}, as at first", again);
            }

            if (first != second)
            {
                run.Fail($"{first}, as from another method", second);
            }
        }
    }

    private static string Describe(IMoeQuantMethod method) =>
        $"{string.Join(' ', Sizes.Select(method.RoundUpHiddenSize))} and {string.Join(' ', Sizes.Select(method.RoundUpIntermediateSize))}, "
        + $"skips {method.SupportsSkipForwardPadding}, unpadded output {method.HasUnpaddedOutput}, {method.Numerics}";
}
