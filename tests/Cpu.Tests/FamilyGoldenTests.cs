using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Cpu.Tests;

/// <summary>The backend on layers of many families that transformers computed.</summary>
public sealed class FamilyGoldenTests
{
    public static TheoryData<string> Names => [.. FamilyGolden.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public void Float32_output_is_what_transformers_computes(string name)
    {
        using FamilyGolden golden = FamilyGolden.Open(name);
        using var layer = new CpuLayer(golden.Layer.Shape, golden.Layer.Source);
        using SparseMixer? mixer = golden.Layer.CallerRoutes is null ? null : new SparseMixer(golden);
        using CpuRun run = layer.Run(golden.Input, mixer?.Ids ?? default, mixer?.Weights ?? default);
        double error = TensorDifference.Measure(run.Output.View, golden.Expected).RelativeError;
        TestContext.Current.TestOutputHelper!.WriteLine($"{name}: {error:e2}");
        Assert.True(error <= Tolerance.Float32, $"The relative error is {error:g3}.");
    }
}
