using Moe.Plugins.Checkpoints;
using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Bf16.Tests;

public sealed class GoldenTests
{
    public static TheoryData<string> Files() => [.. TestCases.GoldenFiles];

    [Theory]
    [MemberData(nameof(Files))]
    public void A_golden_file_comes_out_as_expected(string file)
    {
        Bf16.Host.RequireDevice();
        using Checkpoint checkpoint = Checkpoint.Open(Path.Combine(AppContext.BaseDirectory, "golden", file));
        CheckpointLayer weights = checkpoint.MoeLayers[0];
        Assert.True(checkpoint.TryGetView("input", out MoeTensorView input));
        Assert.True(checkpoint.TryGetView("expected.output", out MoeTensorView expected));

        using MoeLayer layer = Bf16.Host.CreateLayer(weights.Shape, weights.Source, new MoeLayerOptions { MaxTokens = input.Rows });
        using MoeForwardState state = layer.CreateState();
        using DeviceRun run = DeviceRun.Run(layer, state, input);

        run.AssertAgrees(layer, weights.Source, input);
        TensorDifference difference = TensorDifference.Measure(run.Output.View, expected);
        Assert.True(difference.RelativeError <= layer.Method.Numerics.RelativeError, $"relative error {difference.RelativeError:0.0e0}");
    }
}
