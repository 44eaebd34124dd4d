using Microsoft.Extensions.Time.Testing;
using Moe.Plugins.Conformance.Tests.Liars;

namespace Moe.Plugins.Conformance.Tests;

/// <summary>A backend that does not return breaks the rule, and the check goes on.</summary>
[Collection(Alone.Name)]
public sealed class DeadlineTests : IDisposable
{
    private readonly FakeTimeProvider _clock = new();
    private StuckBackend? _backend;

    [Fact]
    public void A_forward_that_never_returns_is_a_failure_that_says_who_where_and_how_long()
    {
        ConformanceResult result = Assert.Single(Check(static tokens => tokens > 0, "numerics"));

        Assert.Equal((ConformanceOutcome.Failed, true, true), (result.Outcome, result.TimedOut, result.IsFault));
        ConformanceFailure failure = Assert.Single(result.Failures);
        Assert.Contains("33 tokens, seed 1", failure.Where, StringComparison.Ordinal);
        Assert.Equal("an end within 90 s", failure.Expected);
        Assert.Equal("backend Stuck, under rule numerics, has not returned after 3600 s, and its thread is left behind", failure.Got);
    }

    [Fact]
    public void A_rule_that_times_out_leaves_the_others_to_be_checked()
    {
        IReadOnlyList<ConformanceResult> results = Check(static tokens => tokens == 0, "no-tokens", "numerics");

        Assert.Equal([("no-tokens", ConformanceOutcome.Failed), ("numerics", ConformanceOutcome.Passed)], results.Select(result => (result.RuleId, result.Outcome)));
    }

    [Fact]
    public void After_two_that_time_out_the_rest_is_named_as_not_run()
    {
        IReadOnlyList<ConformanceResult> results = Check(static _ => true, "rounding-pure", "no-tokens", "numerics", "top-k", "deterministic");

        Assert.Equal(
            [ConformanceOutcome.Passed, ConformanceOutcome.Failed, ConformanceOutcome.Failed, ConformanceOutcome.NotRun, ConformanceOutcome.NotRun],
            results.Select(result => result.Outcome));
        Assert.Equal("not run, since Stuck did not return from no-tokens and numerics", results[^1].Reason);
        Assert.True(results[^1].IsFault);
        Assert.EndsWith("--rule deterministic --seed 1", results[^1].Command, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("group-sums")]
    [InlineData("group-abort")]
    public void A_group_that_never_comes_is_a_failure(string ruleId)
    {
        ConformanceResult result = Assert.Single(Check(static _ => false, ruleId));

        Assert.True(result.TimedOut);
        Assert.StartsWith($"backend Stuck, under rule {ruleId}, has not returned after", result.Failures[0].Got, StringComparison.Ordinal);
    }

    [Fact]
    public void A_rank_that_never_comes_back_is_a_failure_of_its_own_and_its_group_stays()
    {
        using var end = new ManualResetEventSlim();
        var backend = new LyingGroupBackend(GroupLie.None, meeting: rank =>
        {
            if (rank == 1)
            {
                _clock.Advance(TimeSpan.FromSeconds(61));
                end.Wait();
            }
        });
        ConformanceResult result = ConformanceSuite.Run(
            new ConformanceSubject { Backend = backend, Clock = _clock, Name = "Stuck" }, ["group-sums"], cancellationToken: TestContext.Current.CancellationToken)[0];
        end.Set();

        Assert.True(result.TimedOut);
        ConformanceFailure failure = Assert.Single(result.Failures);
        Assert.Equal("an end within 60 s", failure.Expected);
        Assert.Matches("^rank [01] of backend Stuck, under rule group-sums, has not returned after 61 s", failure.Got);
        Assert.Contains("2 ranks on cpu, cpu", failure.Where, StringComparison.Ordinal);
    }

    [Fact]
    public void What_an_author_knows_to_hang_does_not_end_the_check()
    {
        _backend = new StuckBackend(_clock, static _ => true);
        ConformanceSubject subject = Subject() with { ExpectedFailures = ["no-tokens", "numerics"] };

        IReadOnlyList<ConformanceResult> results = ConformanceSuite.Run(subject, ["no-tokens", "numerics", "top-k"], cancellationToken: TestContext.Current.CancellationToken);

        Assert.Equal([ConformanceOutcome.ExpectedFailure, ConformanceOutcome.ExpectedFailure, ConformanceOutcome.Failed], results.Select(result => result.Outcome));
    }

    [Fact]
    public async Task The_xunit_tests_fail_and_leave_the_backend_as_it_is()
    {
        _backend = new StuckBackend(_clock, static _ => true);
        var tests = new Stuck(_backend);

        Exception failure = await Assert.ThrowsAnyAsync<Exception>(() => tests.Keeps("numerics"));

        Assert.Contains("has not returned after", failure.Message, StringComparison.Ordinal);
        Assert.False(_backend.IsDisposed);
    }

    public void Dispose() => _backend?.Dispose();

    private IReadOnlyList<ConformanceResult> Check(Func<int, bool> isStuck, params string[] rules)
    {
        _backend = new StuckBackend(_clock, isStuck);
        return ConformanceSuite.Run(Subject(), rules, cancellationToken: TestContext.Current.CancellationToken);
    }

    private ConformanceSubject Subject() => new() { Backend = _backend!, Name = "Stuck", Deadline = TimeSpan.FromSeconds(90), Clock = _clock };

    private sealed class Stuck(StuckBackend backend) : BackendConformanceTests
    {
        protected override TimeSpan Deadline => TimeSpan.FromMilliseconds(200);

        protected override IMoeBackend CreateBackend() => backend;
    }
}
