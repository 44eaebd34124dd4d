using Moe.Plugins.Conformance.Tests.Liars;

namespace Moe.Plugins.Conformance.Tests;

/// <summary>Mistakes with what model families ask for, each found by the rule that names it; and an honest backend, which keeps them all.</summary>
[Collection(Alone.Name)]
public sealed class FamilyLiarTests
{
    private static readonly Dictionary<string, Func<MoeLayerShape, MoeWeightSource, (MoeLayerShape, MoeWeightSource)>> Mistakes = new()
    {
        ["selection-bias-only-chooses"] = (shape, source) => source.SelectionBias is null ? (shape, source) : (
            shape with { Router = shape.Router with { HasSelectionBias = false, HasLogitBias = true } },
            source with { SelectionBias = null, RouterBias = source.SelectionBias }),
        ["selection-bias-is-float32"] = (shape, source) => (shape, source.SelectionBias is { } bias ? source with { SelectionBias = InBFloat16(bias) } : source),
        ["groups-count"] = (shape, source) => (shape with { Router = shape.Router with { GroupCount = 1, TopGroups = 1 } }, source),
        ["weights-are-scaled-once"] = (shape, source) => (shape with { Router = shape.Router with { Scale = shape.Router.Scale * shape.Router.Scale } }, source),
        ["weight-on-its-side"] = (shape, source) => (shape with { Router = shape.Router with { WeightOn = MoeWeightOn.Output } }, source),
        ["shared-experts-count"] = (shape, source) => (shape with { Shared = null }, source with { Shared = null }),
        ["clamps-on-its-side"] = (shape, source) => shape.Activation is not { Kind: MoeActivationKind.Glu } glu ? (shape, source) : (
            shape with { Activation = MoeActivation.Glu(glu.Function, glu.Alpha, glu.Beta, glu.Limit, !glu.ClampsAfter) },
            source),
        ["gates-and-ups-apart"] = (shape, source) => (shape, source.GateUp.Up is null ? source : source with
        {
            GateUp = source.GateUp.Up with { RowOrder = MoeRowOrder.Separate, Up = source.GateUp with { RowOrder = MoeRowOrder.Interleaved, Up = null } },
        }),
        ["gates-then-ups"] = (shape, source) => (shape, source with { GateUp = source.GateUp with { RowOrder = MoeRowOrder.Interleaved, Up = null } }),
    };

    public static TheoryData<string> Rules() => [.. Mistakes.Keys];

    [Theory]
    [MemberData(nameof(Rules))]
    public void The_rule_finds_the_mistake_that_it_names(string rule)
    {
        ConformanceResult result = Check(new AlteredBackend(Mistakes[rule]), rule);
        Assert.Equal(ConformanceOutcome.Failed, result.Outcome);
    }

    [Theory]
    [MemberData(nameof(Rules))]
    public void A_backend_without_the_mistake_keeps_the_rule(string rule) =>
        Assert.Equal(ConformanceOutcome.Passed, Check(new AlteredBackend(null), rule).Outcome);

    private static MoeStoredTensor InBFloat16(MoeStoredTensor bias)
    {
        float[] values = [.. bias.ToSingles().Select(value => MoeBFloat16.ToSingle(MoeBFloat16.FromSingle(value)))];
        return MoeStoredTensor.FromArray(values, 1, values.Length);
    }

    private static ConformanceResult Check(IMoeBackend backend, string rule) => ConformanceSuite.Run(
        new ConformanceSubject { Backend = backend }, [rule], cancellationToken: TestContext.Current.CancellationToken)[0];
}
