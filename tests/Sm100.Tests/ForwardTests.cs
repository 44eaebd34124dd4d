using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>Whole layers on whatever family of products the device has, in guarded buffers.</summary>
public sealed class ForwardTests
{
    /// <summary>Against an oracle that rounds activations to MXFP8 too: what is left is BF16 in the partial results and the output.</summary>
    internal const double Tolerance = 3e-3;

    private static readonly MoeLayerShape Small = new() { HiddenSize = 288, IntermediateSize = 352, ExpertCount = 8, TopK = 4 };

    /// <summary>Sizes that end within a step of 128 inputs, within a tile, within a stripe; from one token to many tiles an expert.</summary>
    public static TheoryData<int, int, int, int, int> Shapes() => new()
    {
        { 288, 352, 8, 4, 1 },
        { 288, 352, 8, 4, 19 },
        { 352, 288, 8, 4, 700 },
        { 32, 32, 1, 1, 5 },
        { 96, 160, 256, 8, 40 },
        { 64, 128, 130, 1, 300 },
        { 2880, 2880, 4, 2, 3 },
        { 2880, 2880, 4, 2, 60 },
        { 2880, 2880, 4, 3, 400 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void A_layer_agrees_with_both_oracles(int hidden, int intermediate, int experts, int topK, int tokens)
    {
        Sm100Host.RequireDevice();
        MoeLayerShape shape = new() { HiddenSize = hidden, IntermediateSize = intermediate, ExpertCount = experts, TopK = topK };
        using var weights = new RandomLayer(shape, seed: tokens);
        Check(shape, weights, tokens);
    }

    [Theory]
    [InlineData(MoeRouterScoring.TopKThenSoftmax, true, false, true, 8)]
    [InlineData(MoeRouterScoring.SoftmaxThenTopKRenormalized, false, true, false, 1)]
    [InlineData(MoeRouterScoring.SoftmaxThenTopK, false, false, true, 5)]
    public void Options_of_the_layer(MoeRouterScoring scoring, bool routerBias, bool expertBias, bool isSilu, int topK)
    {
        Sm100Host.RequireDevice();
        MoeLayerShape shape = Small with
        {
            TopK = topK,
            RouterScoring = scoring,
            HasRouterBias = routerBias,
            HasExpertBias = expertBias,
            Activation = isSilu ? MoeActivation.SiluGated : MoeActivation.SwiGluOai(1.3f, 2f),
        };
        using var weights = new RandomLayer(shape, seed: 11);
        Check(shape, weights, 9);
        Check(shape, weights, 350);
    }

    [Fact]
    public void Runs_repeat_bit_for_bit_whatever_lies_behind_the_rows_and_no_tokens_do_nothing()
    {
        Sm100Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 2);
        using MoeLayer layer = Sm100Host.CreateLayer(Small, weights.Source, 300);
        using MoeForwardState state = layer.CreateState();
        foreach (int tokens in new[] { 1, 31, 300 })
        {
            using HostTensor input = RandomInput.Create(tokens, Small.HiddenSize, seed: tokens);
            using DeviceRun first = DeviceRun.Run(layer, state, input.View, inputGap: 0, outputGap: 0);
            foreach (int gap in new[] { 8, 16, 3 })
            {
                using DeviceRun again = DeviceRun.Run(layer, state, input.View, inputGap: gap, outputGap: gap);
                Assert.True(again.HasBitsOf(first), $"{tokens} tokens, {gap} elements behind each row");
            }
        }

        using HostTensor none = RandomInput.Create(0, Small.HiddenSize, seed: 1);
        DeviceRun.Run(layer, state, none.View).Dispose();
    }

    private static void Check(MoeLayerShape shape, RandomLayer weights, int tokens)
    {
        using HostTensor input = RandomInput.Create(tokens, shape.HiddenSize, seed: tokens + 1);
        using MoeLayer layer = Sm100Host.CreateLayer(shape, weights.Source, tokens);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun run = DeviceRun.Run(layer, state, input.View);
        run.AssertAgrees(layer, weights.Source, input.View, OracleActivations.Mxfp8, Tolerance);
        run.AssertAgrees(layer, weights.Source, input.View);
    }
}
