using Moe.Plugins.Checkpoints;
using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Marlin.Tests;

public sealed class GoldenTests
{
    public static TheoryData<string, string> Files() => TestCases.Golden(Marlin.Choices);

    [Theory]
    [MemberData(nameof(Files))]
    public void A_golden_file_comes_out_as_expected(string file, string kernels)
    {
        Marlin.Host.RequireDevice();
        using Checkpoint checkpoint = Checkpoint.Open(Path.Combine(AppContext.BaseDirectory, "golden", file));
        CheckpointLayer weights = checkpoint.MoeLayers[0];
        Assert.True(checkpoint.TryGetView("input", out MoeTensorView input));
        Assert.True(checkpoint.TryGetView("expected.output", out MoeTensorView expected));

        using MoeLayer layer = Marlin.Host.CreateLayer(weights.Shape, weights.Source, input.Rows, kernels);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun run = DeviceRun.Run(layer, state, input);

        run.AssertAgrees(layer, weights.Source, input);
        TensorDifference difference = TensorDifference.Measure(run.Output.View, expected);
        Assert.True(difference.RelativeError <= layer.Method.Numerics.RelativeError, $"relative error {difference.RelativeError:0.0e0}");
    }
}
