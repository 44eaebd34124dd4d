using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.Conformance.Tests;

/// <summary>The oracle against vectors that were computed outside of this project.</summary>
public sealed class GoldenTests
{
    public static TheoryData<string> Names =>
        ["tiny", "pad-hidden", "all-codes", "real-hidden", "real-intermediate", "many-experts", "one-token", "every-expert"];

    [Theory]
    [MemberData(nameof(Names))]
    public void The_oracle_agrees(string name)
    {
        using Checkpoint checkpoint = Open(name);
        OracleResult result = Compute(checkpoint, null);

        TensorDifference difference = TensorDifference.Measure(View(checkpoint, "expected.output"), result);
        Assert.True(difference.RelativeError < 1e-6, $"The relative error is {difference.RelativeError:g3}.");
        for (int token = 0; token < result.Tokens.Count; token++)
        {
            int[] expected = [.. Tensors.Int32(View(checkpoint, "expected.topk_ids"), token)];
            Assert.Equal(expected, result.Routing.Ids(token).ToArray());
            float[] weights = [.. Tensors.Single(View(checkpoint, "expected.topk_weights"), token)];
            Assert.All(weights.Zip(result.Routing.Weights(token).ToArray()), pair => Assert.Equal(pair.First, pair.Second, 1e-6));
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void What_transformers_computes_in_bf16_is_further_away(string name)
    {
        using Checkpoint checkpoint = Open(name);
        double error = TensorDifference.Measure(View(checkpoint, "expected.output_hf_bf16"), Compute(checkpoint, null)).RelativeError;
        Assert.InRange(error, 1e-3, 5e-2);
    }

    /// <summary>
    /// What MXFP8 activations cost, which no kernel that rounds to them can be better than: an outlier's block leaves its other 31 values
    /// fewer bits.
    /// </summary>
    [Theory]
    [MemberData(nameof(Names))]
    public void Rounding_activations_to_MXFP8_costs_three_to_six_percent(string name)
    {
        using Checkpoint checkpoint = Open(name);
        OracleResult rounded = Compute(checkpoint, new OracleOptions { Activations = OracleActivations.Mxfp8 });
        double error = TensorDifference.Measure(View(checkpoint, "expected.output"), rounded).RelativeError;
        Assert.InRange(error, 3e-2, 6e-2);
    }

    [Fact]
    public void A_sample_is_those_rows_of_the_whole()
    {
        using Checkpoint checkpoint = Open("all-codes");
        OracleResult whole = Compute(checkpoint, null);
        OracleResult sample = Compute(checkpoint, new OracleOptions { Tokens = [30, 2] });
        Assert.Equal([30, 2], sample.Tokens);
        Assert.Equal(whole.Output(30).ToArray(), sample.Output(0).ToArray());
        Assert.Equal(whole.Output(2).ToArray(), sample.Output(1).ToArray());
        Assert.Equal(whole.Routing.Logits(2).ToArray(), sample.Routing.Logits(1).ToArray());
    }

    [Fact]
    public void A_callers_routing_is_followed()
    {
        using Checkpoint checkpoint = Open("pad-hidden");
        MoeTensorView ids = View(checkpoint, "expected.topk_ids");
        OracleResult own = Compute(checkpoint, null);
        OracleResult given = Compute(checkpoint, new OracleOptions { TopKIds = ids, TopKWeights = View(checkpoint, "expected.topk_weights") });
        Assert.True(TensorDifference.Measure(View(checkpoint, "expected.output"), given).RelativeError < 1e-6);
        Assert.Equal(own.Output(0).ToArray(), Compute(checkpoint, new OracleOptions { TopKIds = ids }).Output(0).ToArray());

        using var last = MoeBuffer.OnHost(MoeElementType.Int32, ids.Rows, ids.Columns);
        for (int token = 0; token < ids.Rows; token++)
        {
            Tensors.Write(last.View, token, [4, 5, 6, 7]);
        }

        OracleResult other = Compute(checkpoint, new OracleOptions { TopKIds = last.View });
        Assert.Equal([4, 5, 6, 7], other.Routing.Ids(3).ToArray());
        Assert.Equal(1, other.Routing.Weights(3).ToArray().Sum(), 1e-12);
    }

    private static Checkpoint Open(string name) => Checkpoint.Open(Path.Combine(AppContext.BaseDirectory, "golden", $"{name}.safetensors"));

    private static MoeTensorView View(Checkpoint checkpoint, string name)
    {
        Assert.True(checkpoint.TryGetView(name, out MoeTensorView view));
        return view;
    }

    private static OracleResult Compute(Checkpoint checkpoint, OracleOptions? options) => MoeOracle.Compute(
        checkpoint.MoeLayers[0].Shape,
        checkpoint.MoeLayers[0].Source,
        View(checkpoint, "input"),
        options,
        TestContext.Current.CancellationToken);
}
