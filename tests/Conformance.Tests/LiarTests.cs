using Moe.Plugins.Conformance.Tests.Liars;

namespace Moe.Plugins.Conformance.Tests;

[Collection(Alone.Name)]
public sealed class LiarTests
{
    public static TheoryData<Lie, string> Lies() => new()
    {
        { Lie.TakesTheUnknownForTheKnown, "unknown-is-refused" },
        { Lie.TakesAnyActivationForSilu, "unknown-is-refused" },
        { Lie.RoundsDown, "rounding-at-least-input" },
        { Lie.RoundsOnAndOn, "rounding-idempotent" },
        { Lie.RoundsLargerSizesDown, "rounding-monotone" },
        { Lie.RoundsByTheNumberOfCalls, "rounding-pure" },
        { Lie.ThrowsInProbe, "probe-answers" },
        { Lie.FindsDevicesThatAreNotThere, "probe-answers" },
        { Lie.HasMemoryElsewhere, "memory-is-where-said" },
        { Lie.MovesItsMemory, "memory-is-where-said" },
        { Lie.CountsNoWeights, "bytes-are-counted" },
        { Lie.FailsWithoutTokens, "no-tokens" },
        { Lie.IsInaccurate, "numerics" },
        { Lie.DropsTheDownBias, "down-bias-counts" },
        { Lie.DropsTheGateUpBias, "gate-up-bias-counts" },
        { Lie.SwapsGateAndUp, "gate-is-the-even-row" },
        { Lie.SwapsNibbles, "low-nibble-first" },
        { Lie.UsesOneScaleForARow, "scale-of-each-block" },
        { Lie.ForgetsTheClamp, "activation-clamps" },
        { Lie.ForgetsTheRoutersBias, "router-bias-counts" },
        { Lie.TakesTheSecondToLastExperts, "top-k" },
        { Lie.LeavesWeightsUnnormalised, "top-k" },
        { Lie.RoutesItselfAlways, "caller-routing-counts" },
        { Lie.TakesStrayIdsForTheFirstExpert, "stray-ids-add-nothing" },
        { Lie.RanksNanFirst, "nan-is-ranked-last" },
        { Lie.StopsAtSixteenTokens, "any-number-of-tokens" },
        { Lie.DropsTokensOfABusyExpert, "experts-with-none-and-all" },
        { Lie.ThrowsOnTheSecondForward, "forward-repeats" },
        { Lie.KeepsTheLastBatch, "workspace-remembers-nothing" },
        { Lie.ReadsBeyondTheRow, "bytes-beyond-rows-do-not-matter" },
        { Lie.IgnoresTheStride, "strides-count" },
        { Lie.WritesOneElementMore, "writes-only-its-rows" },
        { Lie.ScribblesOnTheInput, "input-unchanged" },
        { Lie.PadsOnlyWhenSkipping, "pads-and-skips-alike" },
        { Lie.ReadsFloat32AsBf16, "float32-activations" },
        { Lie.IsNotDeterministic, "deterministic" },
        { Lie.SharesScratchBetweenWorkspaces, "states-at-once" },
        { Lie.AllocatesInForward, "allocates-nothing" },
        { Lie.WaitsInForward, "waits-for-nothing" },
        { Lie.Leaks, "leaks-nothing" },
        { Lie.DropsTheBiasOfTheFirstRank, "parts-sum-up" },
        { Lie.AddsTheBiasOnAllRanks, "parts-sum-up" },
        { Lie.SumsInFourteenBits, "beyond-rounding" },
        { Lie.DropsBlocksOfSmallScales, "beyond-rounding" },
        { Lie.RoutesOtherwiseAlone, "routes-alone" },
        { Lie.LooksAtEveryRow, "parts-sum-up" },
        { Lie.WritesPartsOfNoExpert, "parts-sum-up" },
    };

    [Fact]
    public void Every_lie_has_a_rule_that_finds_it()
    {
        Assert.Equal(Enum.GetValues<Lie>().Except([Lie.None]).Order(), Lies().Select(row => row.Data.Item1).Distinct().Order());
    }

    [Theory]
    [MemberData(nameof(Lies))]
    public void The_rule_that_names_a_lie_finds_it(Lie lie, string ruleId)
    {
        ConformanceResult result = Check(lie, ruleId);

        Assert.Equal(ConformanceOutcome.Failed, result.Outcome);
        ConformanceFailure failure = result.Failures[0];
        Assert.NotEqual("", failure.Expected);
        Assert.NotEqual("", failure.Got);
        Assert.EndsWith($"--rule {ruleId} --seed 1", result.Command, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Who_rounds_as_it_says_and_adds_short_sums_in_float32_passes(bool sumsLikeFp8)
    {
        var subject = new ConformanceSubject { Backend = new LyingBackend(Lie.None, roundsToMxfp8: true, sumsLikeFp8) };
        ConformanceResult result = ConformanceSuite.Run(subject, ["beyond-rounding"], cancellationToken: TestContext.Current.CancellationToken)[0];

        Assert.Equal(ConformanceOutcome.Passed, result.Outcome);
    }

    [Fact]
    public void A_layer_that_a_backend_refuses_does_not_take_the_rule_from_the_others()
    {
        var subject = new ConformanceSubject { Backend = new NarrowBackend(new LyingBackend(Lie.None, roundsToMxfp8: true)) };
        ConformanceResult result = ConformanceSuite.Run(subject, ["beyond-rounding"], cancellationToken: TestContext.Current.CancellationToken)[0];

        Assert.Equal(ConformanceOutcome.Passed, result.Outcome);
    }

    [Theory]
    [InlineData(Lie.SwapsNibbles, "the high nibble of each byte is taken for the earlier input")]
    [InlineData(Lie.UsesOneScaleForARow, "the first scale of a row is used for all of its blocks")]
    [InlineData(Lie.SwapsGateAndUp, "gate and up are taken for each other")]
    [InlineData(Lie.DropsTheGateUpBias, "the biases of the first product are left out")]
    [InlineData(Lie.DropsTheDownBias, "the biases of the second product are left out")]
    public void A_common_mistake_is_named_where_the_result_is_just_what_comes_of_it(Lie lie, string words)
    {
        Assert.EndsWith($": just what comes out where {words}", Check(lie, "numerics").Failures[0].Got, StringComparison.Ordinal);
    }

    [Fact]
    public void No_mistake_is_named_where_none_explains_the_result()
    {
        Assert.DoesNotContain("just what", Check(Lie.IsInaccurate, "numerics").Failures[0].Got, StringComparison.Ordinal);
    }

    [Fact]
    public void What_an_author_lists_is_expected_and_a_pass_of_it_is_a_fault()
    {
        var subject = new ConformanceSubject { Backend = new LyingBackend(Lie.CountsNoWeights), ExpectedFailures = ["bytes-are-counted", "no-tokens"] };

        IReadOnlyList<ConformanceResult> results = ConformanceSuite.Run(
            subject, ["bytes-are-counted", "no-tokens"], cancellationToken: TestContext.Current.CancellationToken);

        Assert.Equal(ConformanceOutcome.ExpectedFailure, results.Single(result => result.RuleId == "bytes-are-counted").Outcome);
        ConformanceResult unexpected = results.Single(result => result.RuleId == "no-tokens");
        Assert.Equal(ConformanceOutcome.UnexpectedPass, unexpected.Outcome);
        Assert.True(unexpected.IsFault);
    }

    [Fact]
    public void A_rule_that_there_is_not_is_an_error_that_names_the_others()
    {
        var subject = new ConformanceSubject { Backend = new LyingBackend(Lie.None) };

        ArgumentException error = Assert.Throws<ArgumentException>(
            () => ConformanceSuite.Run(subject, ["no-such"], cancellationToken: TestContext.Current.CancellationToken));

        Assert.Contains("'no-such'", error.Message, StringComparison.Ordinal);
        Assert.Contains("rounding-idempotent", error.Message, StringComparison.Ordinal);
    }

    private static ConformanceResult Check(Lie lie, string ruleId) =>
        ConformanceSuite.Run(new ConformanceSubject { Backend = new LyingBackend(lie) }, [ruleId], cancellationToken: TestContext.Current.CancellationToken)[0];

    /// <summary>Refuses wide layers.</summary>
    private sealed class NarrowBackend(IMoeBackend inner) : IMoeBackend
    {
        public MoeProbeResult Probe(MoeProbeRequest request) =>
            request.Shape.HiddenSize > 8192 ? MoeProbeResult.Unsupported(MoeReason.Shape, "it is too wide") : inner.Probe(request);

        public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request) => inner.CreateQuantMethod(request);

        public ValueTask DisposeAsync() => inner.DisposeAsync();
    }
}
