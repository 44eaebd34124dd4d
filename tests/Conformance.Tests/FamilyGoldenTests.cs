using Moe.Plugins.Tests;

namespace Moe.Plugins.Conformance.Tests;

/// <summary>Reader and oracle against layers of many families that transformers computed.</summary>
public sealed class FamilyGoldenTests
{
    public static TheoryData<string> Names => [.. FamilyGolden.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public void The_oracle_agrees(string name)
    {
        using FamilyGolden golden = FamilyGolden.Open(name);
        using SparseMixer? mixer = golden.Layer.CallerRoutes is null ? null : new SparseMixer(golden);
        var options = new OracleOptions { TopKIds = mixer?.Ids ?? default, TopKWeights = mixer?.Weights ?? default };
        OracleResult result = MoeOracle.Compute(
            golden.Layer.Shape, golden.Layer.Source, golden.Input, options, TestContext.Current.CancellationToken);
        TensorDifference difference = TensorDifference.Measure(golden.Expected, result);
        TestContext.Current.TestOutputHelper!.WriteLine($"{name}: {difference.RelativeError:e2}");
        Assert.True(difference.RelativeError < 1e-6, $"The relative error is {difference.RelativeError:g3}.");
    }
}
