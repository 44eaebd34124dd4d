namespace Moe.Plugins.Conformance;

/// <summary>All rules of the contract.</summary>
public static class ConformanceSuite
{
    /// <summary>Rules that the backend may not return from before the others are given up: each costs a deadline, and what every rule needs hangs every time.</summary>
    private const int MostTimeouts = 2;

    /// <summary>The rules, in the order in which a backend's author wants to know of them: what others build on comes first.</summary>
    public static IReadOnlyList<ConformanceRule> Rules { get; } =
    [
        new ProbeAnswersRule(),
        new UnknownIsRefusedRule(),
        .. RoundingRule.All,
        new MemoryIsWhereSaidRule(),
        new WeightsAreCountedRule(),
        new NoTokensRule(),
        .. OracleRule.All,
        new BeyondRoundingRule(),
        new TopKRule(),
        new NanIsLastRule(),
        new CallerRoutingRule(),
        new StrayIdsRule(),
        new RoutesAloneRule(),
        new AnyNumberOfTokensRule(),
        new OneExpertGetsAllRule(),
        new RepeatsRule(),
        new WorkspaceRemembersNothingRule(),
        new BytesBeyondRowsRule(),
        new StridesCountRule(),
        new WritesOnlyItsRowsRule(),
        new InputUnchangedRule(),
        new PadsAndSkipsAlikeRule(),
        new Float32ActivationsRule(),
        new DeterministicRule(),
        new StatesAtOnceRule(),
        new AllocatesNothingRule(),
        new WaitsForNothingRule(),
        new LeaksNothingRule(),
        new GraphReplaysRule(),
        new PartsSumUpRule(),
        .. GroupResultRule.All,
        .. GroupEndRule.All,
    ];

    /// <summary>
    /// Checks every rule, or those that are named. A rule that the backend does not return from by the deadline is a failure, and the next one is checked;
    /// after the second such rule, unless its author lists it, the rest is <see cref="ConformanceOutcome.NotRun"/>.
    /// </summary>
    /// <param name="subject">The backend.</param>
    /// <param name="only">Names of rules; empty for all.</param>
    /// <param name="progress">Told of each result as it comes.</param>
    /// <param name="cancellationToken">Ends the check early: within a second also where the backend does not return, whose thread is left behind then.</param>
    /// <exception cref="ArgumentException">There is no rule of a name.</exception>
    /// <exception cref="OperationCanceledException">The check was ended early.</exception>
    public static IReadOnlyList<ConformanceResult> Run(
        ConformanceSubject subject,
        IReadOnlyCollection<string>? only = null,
        IProgress<ConformanceResult>? progress = null,
        CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(subject);
        only ??= [];
        ArgumentCheck.ThrowIfAnyNull(only);
        subject.Validate(nameof(subject));
        RequireKnown(only, nameof(only));
        RequireKnown(subject.ExpectedFailures, $"{nameof(subject)}.{nameof(subject.ExpectedFailures)}");

        var results = new List<ConformanceResult>();
        foreach (ConformanceRule rule in Rules.Where(rule => only.Count == 0 || only.Contains(rule.Id, StringComparer.OrdinalIgnoreCase)))
        {
            string[] late = [.. results.Where(result => result is { TimedOut: true, Outcome: ConformanceOutcome.Failed }).Select(result => result.RuleId)];
            results.Add(late.Length < MostTimeouts
                ? rule.Check(subject, cancellationToken)
                : rule.NotRun(subject, $"not run, since {subject.ShownName} did not return from {string.Join(" and ", late)}"));
            progress?.Report(results[^1]);
        }

        return results;
    }

    private static void RequireKnown(IReadOnlyCollection<string> names, string argument)
    {
        if (names.FirstOrDefault(static name => !Rules.Any(rule => rule.Id.Equals(name, StringComparison.OrdinalIgnoreCase)), "") is { Length: > 0 } unknown)
        {
            throw new ArgumentException($"There is no rule '{unknown}'; one of {string.Join(", ", Rules.Select(rule => rule.Id))} is expected.", argument);
        }
    }
}
