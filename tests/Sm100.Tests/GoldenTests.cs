using Moe.Plugins.Checkpoints;
using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

public sealed class GoldenTests
{
    public static TheoryData<string, string> Files() => TestCases.Golden(Sm100.Choices);

    [Theory]
    [MemberData(nameof(Files))]
    public void A_golden_file_comes_out_as_expected(string file, string kernels)
    {
        Sm100.Host.RequireDevice();
        using Checkpoint checkpoint = Checkpoint.Open(Path.Combine(AppContext.BaseDirectory, "golden", file));
        CheckpointLayer weights = checkpoint.MoeLayers[0];
        Assert.SkipUnless(weights.Shape.WeightFormat == MoeWeightFormat.Mxfp4, "its weights are no MXFP4");
        Assert.True(checkpoint.TryGetView("input", out MoeTensorView input));
        Assert.True(checkpoint.TryGetView("expected.output", out MoeTensorView expected));

        using MoeLayer layer = Sm100.Host.CreateLayer(weights.Shape, weights.Source, input.Rows, kernels);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun run = DeviceRun.Run(layer, state, input);

        run.AssertAgrees(layer, weights.Source, input, OracleActivations.Mxfp8, ForwardTests.OwnTolerance);
        TensorDifference difference = TensorDifference.Measure(run.Output.View, expected);
        Assert.True(difference.RelativeError <= layer.Method.Numerics.RelativeError, $"relative error {difference.RelativeError:0.0e0}");
    }
}
