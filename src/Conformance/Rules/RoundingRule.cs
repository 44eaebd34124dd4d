namespace Moe.Plugins.Conformance;

/// <summary>What both rounding rules owe: each of the four properties is a rule of its own.</summary>
internal sealed class RoundingRule : ConformanceRule
{
    private const int Largest = 4200;

    private readonly Func<Func<int, int>, int, (bool Holds, string Expected, string Got)> _property;

    private RoundingRule(string id, string statement, Func<Func<int, int>, int, (bool Holds, string Expected, string Got)> property)
        : base(id, statement) => _property = property;

    public static IReadOnlyList<ConformanceRule> All { get; } =
    [
        new RoundingRule(
            "rounding-at-least-input",
            "A size is never rounded down.",
            (round, size) => (round(size) >= size, $"at least {size}", $"{round(size)}")),
        new RoundingRule(
            "rounding-idempotent",
            "A rounded size stays as it is when it is rounded again.",
            (round, size) => (round(round(size)) == round(size), $"{round(size)} again", $"{round(round(size))}")),
        new RoundingRule(
            "rounding-monotone",
            "A larger size is not rounded to a smaller one.",
            (round, size) => (round(size + 1) >= round(size), $"at least {round(size)} for {size + 1}", $"{round(size + 1)}")),
        new RoundingPureRule(),
    ];

    internal override void Check(RuleRun run)
    {
        foreach (Func<IMoeQuantMethod> make in run.Methods())
        {
            using IMoeQuantMethod method = make();
            Check(run, method.RoundUpHiddenSize, nameof(IMoeQuantMethod.RoundUpHiddenSize));
            Check(run, method.RoundUpIntermediateSize, nameof(IMoeQuantMethod.RoundUpIntermediateSize));
        }
    }

    private void Check(RuleRun run, Func<int, int> round, string name)
    {
        for (int size = 1; size <= Largest; size++)
        {
            (bool holds, string expected, string got) = _property(round, size);
            if (!holds)
            {
                run.Fail($"{name}({size}) to be {expected}", got);
                return;
            }
        }
    }
}
