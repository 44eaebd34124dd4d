using Moe.Plugins.Tests;

namespace Moe.Plugins.Conformance.Tests;

public sealed class Mxfp8OracleTests
{
    private static readonly OracleOptions Options = new() { Activations = OracleActivations.Mxfp8 };

    /// <summary>One activation is its own block. 0.845796 / 2^−9 = 433.05 is nearer to 448 than to 416; the others are worked alike.</summary>
    [Theory]
    [InlineData(1, 0, 0.875)]
    [InlineData(8, 8, 56)]
    [InlineData(7, -9, -40)]
    [InlineData(-1, 2.5, -0.5625)]
    [InlineData(1, -1, 0)]
    public void What_an_expert_computes_between_its_products_is_rounded(float gate, float up, double expected)
    {
        using var layer = new OneExpert(MoeActivation.SwiGluOai());
        Tensors.Write(layer.Tensors.GateUp.Bias, 0, [gate, up]);

        Assert.Equal(expected, layer.Compute(Options).Output(0).Span[0]);
    }

    [Theory]
    [InlineData(1.06f, 1)]
    [InlineData(1.07f, 1.125)]
    [InlineData(1.0625f, 1)]
    [InlineData(1.1875f, 1.25)]
    [InlineData(-1.78f, -1.75)]
    [InlineData(1e-38f, 0)]
    public void The_input_is_rounded_ties_to_even(float input, double expected)
    {
        // SiLU of a gate of 1000 is 1000, and up is the input.
        using var layer = new OneExpert(MoeActivation.SiluGated);
        Tensors.Write(layer.Input, 0, [input]);
        Tensors.Write(layer.Tensors.GateUp.Values, 1, Tensors.BFloat16(1));
        Tensors.Write(layer.Tensors.GateUp.Bias, 0, [1024f, 0f]);

        Assert.Equal(1024 * expected, layer.Compute(Options).Output(0).Span[0]);
    }

    [Fact]
    public void The_router_sees_the_input_as_it_is()
    {
        using var layer = new OneExpert(MoeActivation.SwiGluOai(), experts: 2, topK: 2);
        Tensors.Write(layer.Input, 0, [1.06f]);
        Tensors.Write(layer.Tensors.RouterWeight, 0, [1f]);

        Assert.Equal((double)1.06f, layer.Compute(Options).Routing.Logits(0).Span[0]);
    }

    [Theory]
    [InlineData(320, 96)]
    [InlineData(64, 32)]
    public void Whole_layers_equal_plain_loops_that_search_for_the_nearest_value(int hidden, int intermediate)
    {
        MoeLayerShape shape = new() { HiddenSize = hidden, IntermediateSize = intermediate, ExpertCount = 4, TopK = 2 };
        using var layer = new RandomLayer(shape, seed: 3);
        using MoeBuffer input = RandomInput.Create(5, hidden, seed: 4);
        OracleResult result = MoeOracle.Compute(shape, layer.Source, input.View, Options, TestContext.Current.CancellationToken);
        OracleResult exact = MoeOracle.Compute(shape, layer.Source, input.View, null, TestContext.Current.CancellationToken);

        double squares = 0;
        double differences = 0;
        for (int token = 0; token < 5; token++)
        {
            int[] ids = result.Routing.Ids(token).ToArray();
            Assert.Equal(exact.Routing.Ids(token).ToArray(), ids);
            double[] expected = PlainLoops.Compute(
                layer, Tensors.Single(input.View, token), ids, result.Routing.Weights(token).ToArray(), Mxfp8.Round);
            for (int i = 0; i < hidden; i++)
            {
                Assert.Equal(expected[i], result.Output(token).Span[i], 1e-9 * (1 + Math.Abs(expected[i])));
                squares += expected[i] * expected[i];
                differences += Math.Pow(result.Output(token).Span[i] - exact.Output(token).Span[i], 2);
            }
        }

        // E4M3 has a relative step of 1/8 to 1/16: the rounding error is small, and it is there.
        Assert.InRange(Math.Sqrt(differences / squares), 5e-3, 6e-2);
    }
}
