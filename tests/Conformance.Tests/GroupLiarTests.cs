using Moe.Plugins.Conformance.Tests.Liars;

namespace Moe.Plugins.Conformance.Tests;

/// <summary>The rules for groups find what they name, and leave an honest group alone.</summary>
[Collection(Alone.Name)]
public sealed class GroupLiarTests
{
    public static TheoryData<string> Rules => [.. ConformanceSuite.Rules.Select(rule => rule.Id).Where(id => id.StartsWith("group-", StringComparison.Ordinal))];

    public static TheoryData<GroupLie, string> Lies() => new()
    {
        { GroupLie.AddsARankTwice, "group-sums" },
        { GroupLie.NormsBeforeAdding, "group-sums" },
        { GroupLie.ForgetsTheResidual, "group-sums" },
        { GroupLie.KeepsTheLastNumberOfRows, "group-sums" },
        { GroupLie.GathersInAnotherOrder, "group-sums" },
        { GroupLie.RoundsOnOneRankOnly, "group-equal-bits" },
        { GroupLie.WritesOneElementMore, "group-writes-only-its-rows" },
        { GroupLie.AddsIntoTheResidual, "group-writes-only-its-rows" },
        { GroupLie.ReturnsAsIfNothingHadHappened, "group-missing-rank" },
        { GroupLie.WaitsForever, "group-missing-rank" },
        { GroupLie.TakesAnyNumberOfRows, "group-unequal-calls" },
        { GroupLie.IgnoresAborts, "group-abort" },
        { GroupLie.TakesWrongSizes, "group-part-once" },
        { GroupLie.LooksAtTheFirstExpertOnly, "group-needed-rows" },
        { GroupLie.LeavesOutPartsOfTheLastExperts, "group-needed-rows" },
        { GroupLie.LeavesOutRowsButNoParts, "group-needed-rows" },
    };

    [Fact]
    public void Every_lie_has_a_rule_that_finds_it() =>
        Assert.Equal(Enum.GetValues<GroupLie>().Except([GroupLie.None]).Order(), Lies().Select(row => row.Data.Item1).Distinct().Order());

    [Theory]
    [MemberData(nameof(Lies))]
    public void The_rule_that_names_a_lie_finds_it(GroupLie lie, string ruleId)
    {
        ConformanceResult result = Check(lie, ruleId);

        Assert.Equal(ConformanceOutcome.Failed, result.Outcome);
        Assert.NotEqual("", result.Failures[0].Got);
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void An_honest_group_keeps_a_rule(string ruleId) => Assert.Equal(ConformanceOutcome.Passed, Check(GroupLie.None, ruleId).Outcome);

    [Theory]
    [InlineData(GroupLie.AddsARankTwice, 4, ConformanceOutcome.Failed)]
    [InlineData(GroupLie.None, 4, ConformanceOutcome.Passed)]
    [InlineData(GroupLie.AddsARankTwice, 1, ConformanceOutcome.NotSupported)]
    public void A_backend_that_has_no_large_groups_is_held_to_the_rules_with_the_others(GroupLie lie, int mostRanks, ConformanceOutcome outcome)
    {
        ConformanceResult result = ConformanceSuite.Run(
            new ConformanceSubject { Backend = new LyingGroupBackend(lie, mostRanks) }, ["group-sums"], cancellationToken: TestContext.Current.CancellationToken)[0];

        Assert.Equal(outcome, result.Outcome);
        Assert.Equal(outcome == ConformanceOutcome.NotSupported ? "more than 1 ranks do not go" : "", result.Reason);
    }

    private static ConformanceResult Check(GroupLie lie, string ruleId) => ConformanceSuite.Run(
        new ConformanceSubject { Backend = new LyingGroupBackend(lie) }, [ruleId], cancellationToken: TestContext.Current.CancellationToken)[0];
}
