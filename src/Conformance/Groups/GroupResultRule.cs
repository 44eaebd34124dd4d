namespace Moe.Plugins.Conformance;

/// <summary>A rule of what the calls of a group leave behind.</summary>
/// <param name="id">Its name.</param>
/// <param name="statement">What it asks for.</param>
/// <param name="sequence">The calls, for so many ranks.</param>
/// <param name="look">Looks at a call's results, by rank: what was expected, and what was found; null where nothing is wrong.</param>
internal sealed class GroupResultRule(string id, string statement, Func<int, IReadOnlyList<GroupCall>> sequence, Func<GroupCall, GroupSize, GroupResult[], int, (string Expected, string Got)?> look)
    : ConformanceRule(id, statement)
{
    private static readonly TimeSpan Timeout = TimeSpan.FromSeconds(20);

    public static IReadOnlyList<ConformanceRule> All { get; } =
    [
        new GroupResultRule(
            "group-sums",
            "Every rank of a group gets the float64 sums of all ranks' parts within their type's rounding, also where a residual is added and the sum is normed, with other numbers of rows every time.",
            GroupCall.Sequence,
            FindError),
        new GroupResultRule("group-equal-bits", "All ranks of a group hold the same bits.", GroupCall.Sequence, FindDifference),
        new GroupResultRule(
            "group-writes-only-its-rows",
            "A call of a group writes the rows that it is to write, and neither what is beside them nor what it reads.",
            GroupCall.Sequence,
            FindTrespass),
        new GroupResultRule(
            "group-needed-rows",
            "Where a group is told the tokens' experts, every rank gets the rows of tokens that have one of its experts, and the sums of all parts that ranks with one of a token's experts have.",
            GroupCall.ChosenSequence,
            (call, size, results, seed) => FindError(call, size, results, seed) ?? FindTrespass(call, size, results, seed)),
    ];

    internal override void Check(RuleRun run)
    {
        string? firstRefusal = null;
        bool hasAny = false;
        foreach (GroupSize size in GroupSize.All)
        {
            using GroupUnderTest? group = GroupUnderTest.Create(run, size, Timeout, out string refusal);
            if (group is null)
            {
                // A backend need not have groups of every size.
                firstRefusal ??= refusal;
                continue;
            }

            hasAny = true;

            IReadOnlyList<GroupCall> calls = sequence(size.Ranks);
            GroupResult[][] results = GroupExercise.Run(group, size, calls, run.Subject.Seed);
            for (int i = 0; i < calls.Count; i++)
            {
                if (look(calls[i], size, results[i], run.Subject.Seed) is var (expected, got))
                {
                    run.Fail(expected, got);
                }
            }

            Array.ForEach(results, call => Array.ForEach(call, result => result.Dispose()));
        }

        if (!hasAny)
        {
            run.NotSupported(firstRefusal!);
        }
    }

    private static (string, string)? FindTrespass(GroupCall call, GroupSize size, GroupResult[] results, int seed) =>
        results.Select((result, rank) => (Rank: rank, result.Trespass)).FirstOrDefault(result => result.Trespass is not null) is { Trespass: string trespass } found
            ? ("nothing written but the results", $"{call}, rank {found.Rank}: {trespass}")
            : null;

    private static (string, string)? FindError(GroupCall call, GroupSize size, GroupResult[] results, int seed)
    {
        for (int rank = 0; rank < results.Length; rank++)
        {
            (double[] output, double[] sum) = call.Expect(size, rank, seed);

            // What is gathered is not rounded; what is normed was rounded twice.
            double roundings = call.Kind == MoeGroupCallKind.AllGather ? 0 : call.NormType is null ? 1 : 2.5;
            string? error = FarFrom(output, results[rank].Output, roundings, "the result")
                ?? (call.Kind == MoeGroupCallKind.ReduceAddNorm ? FarFrom(sum, results[rank].Sum, 1, "the sum with the residual") : null);
            if (error is not null)
            {
                return ("the float64 sums, rounded", $"{call}, rank {rank}: {error}");
            }
        }

        return null;
    }

    private static string? FarFrom(double[] expected, MoeBuffer found, double roundings, string what)
    {
        double unit = found.View.ElementType == MoeElementType.BFloat16 ? 1.0 / 256 : 1e-6;
        double noise = 1e-6 * (expected.Length == 0 ? 0 : expected.Where(value => !double.IsNaN(value)).Select(Math.Abs).DefaultIfEmpty().Max()) * (roundings == 0 ? 0 : 1);
        float[] values = found.ToSingles();
        for (int i = 0; i < expected.Length; i++)
        {
            double limit = (roundings * unit * Math.Abs(expected[i])) + noise;
            if (!double.IsNaN(expected[i]) && !(Math.Abs(values[i] - expected[i]) <= limit))
            {
                return $"{what} is {values[i]:g6} in row {i / found.View.Columns}, column {i % found.View.Columns}, and {expected[i]:g6} in float64";
            }
        }

        return null;
    }

    private static (string, string)? FindDifference(GroupCall call, GroupSize size, GroupResult[] results, int seed)
    {
        // Scattered rows are each rank's own.
        for (int rank = 1; rank < results.Length && call.Kind != MoeGroupCallKind.ReduceScatter; rank++)
        {
            if (results[rank].FirstDifference(results[0]) is string difference)
            {
                return ("the same bits on all ranks", $"{call}, ranks 0 and {rank}: {difference}");
            }
        }

        return null;
    }
}
