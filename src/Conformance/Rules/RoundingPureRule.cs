namespace Moe.Plugins.Conformance;

internal sealed class RoundingPureRule() : ConformanceRule(
    "rounding-pure", "Rounding and capabilities depend on nothing but the layer: not on earlier calls, and not on which of two methods is asked.")
{
    private static readonly int[] Sizes = [1, 31, 32, 100, 128, 129, 720, 2880, 3072, 4097];

    internal override void Check(RuleRun run)
    {
        foreach (MoeLayerShape shape in run.Shapes())
        {
            var request = new MoeProbeRequest { Shape = shape, Device = run.Subject.Device };
            using IMoeQuantMethod one = run.Subject.Backend.CreateQuantMethod(request);
            string first = Describe(one);
            using IMoeQuantMethod other = run.Subject.Backend.CreateQuantMethod(request);
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
