using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Bf16.Tests;

public sealed class ForwardTests
{
    private static readonly MoeLayerShape Small = new() { HiddenSize = 288, IntermediateSize = 352, ExpertCount = 8, TopK = 4 };

    /// <summary>From one token to many an expert, so that each of the kernels runs; sizes are multiples of 8 and of nothing larger.</summary>
    public static TheoryData<int, int, int, int, int> Shapes() => new()
    {
        { 288, 352, 8, 4, 1 },
        { 288, 352, 8, 4, 3 },
        { 288, 352, 8, 4, 17 },
        { 288, 352, 8, 4, 40 },
        { 288, 352, 8, 4, 64 },
        { 288, 352, 8, 4, 300 },
        { 8, 8, 1, 1, 5 },
        { 136, 72, 8, 2, 300 },
        { 136, 72, 512, 8, 33 },
        { 136, 72, 130, 1, 700 },
        { 2880, 2880, 4, 2, 2 },
        { 2880, 2880, 4, 2, 33 },
        { 2880, 2880, 4, 2, 500 },
        { 1024, 512, 16, 8, 2500 },
    };

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Bf16_weights_in_both_orders(int hidden, int intermediate, int experts, int topK, int tokens)
    {
        Bf16Host.RequireDevice();
        MoeLayerShape shape = new()
        {
            HiddenSize = hidden, IntermediateSize = intermediate, ExpertCount = experts, TopK = topK, WeightFormat = MoeWeightFormat.BFloat16,
        };
        foreach (MoeMatrixOrder order in Enum.GetValues<MoeMatrixOrder>())
        {
            using var weights = new RandomLayer(shape, seed: tokens + (int)order, order);
            Check(shape, weights, tokens);
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(20)]
    [InlineData(400)]
    public void Mxfp4_weights_are_widened(int tokens)
    {
        Bf16Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: tokens);
        Check(Small, weights, tokens);
    }

    public static TheoryData<string, bool, bool, bool> Options()
    {
        var data = new TheoryData<string, bool, bool, bool>();
        foreach (string scoring in RouterPresets.Names)
        {
            data.Add(scoring, true, false, true);
            data.Add(scoring, false, true, false);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Options))]
    public void Every_scoring_with_and_without_biases(string preset, bool routerBias, bool expertBias, bool isSilu)
    {
        Bf16Host.RequireDevice();
        MoeLayerShape shape = Small with
        {
            Router = RouterPresets.Of(preset) with { HasLogitBias = routerBias },
            HasExpertBias = expertBias,
            Activation = isSilu ? MoeActivation.SiluGated : MoeActivation.SwiGluOai(1.3f, 2f),
        };
        using var weights = new RandomLayer(shape, seed: 11);
        Check(shape, weights, 9);
        Check(shape, weights, 350);
    }

    [Theory]
    [InlineData(7)]
    [InlineData(300)]
    public void Rows_that_the_kernels_cannot_read_in_place_are_copied(int tokens)
    {
        Bf16Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 5);
        using MoeBuffer input = RandomInput.Create(tokens, Small.HiddenSize, seed: 6);
        using MoeLayer layer = Bf16Host.CreateLayer(Small, weights.Source, new MoeLayerOptions { MaxTokens = tokens });
        using MoeForwardState state = layer.CreateState();
        using DeviceRun aligned = DeviceRun.Run(layer, state, input.View, inputGap: 8);
        using DeviceRun odd = DeviceRun.Run(layer, state, input.View, inputGap: 3, outputGap: 1);

        odd.AssertAgrees(layer, weights.Source, input.View);
        Assert.True(odd.HasBitsOf(aligned));
    }

    [Fact]
    public void Float32_activations_are_rounded_once()
    {
        Bf16Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 5);
        using MoeBuffer input = RandomInput.Create(21, Small.HiddenSize, seed: 6);
        using MoeBuffer wide = Widen(input);
        var options = new MoeLayerOptions { MaxTokens = 21, InputType = MoeElementType.Float32, OutputType = MoeElementType.Float32 };
        using MoeLayer layer = Bf16Host.CreateLayer(Small, weights.Source, options);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun run = DeviceRun.Run(layer, state, wide.View);

        run.AssertAgrees(layer, weights.Source, input.View);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(60)]
    [InlineData(400)]
    public void The_callers_routing_gives_what_the_router_gave(int tokens)
    {
        Bf16Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 8);
        using MoeLayer layer = Bf16Host.CreateLayer(Small, weights.Source, new MoeLayerOptions { MaxTokens = tokens });
        LayerChecks.FollowsTheCallersRouting(layer, tokens);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(65)]
    [InlineData(600)]
    public void One_expert_may_get_every_token(int tokens)
    {
        Bf16Host.RequireDevice();
        MoeLayerShape shape = Small with { TopK = 1 };
        using var weights = new RandomLayer(shape, seed: 3);
        LayerChecks.SendEveryTokenTo(5, weights.Source, shape.ExpertCount);
        Check(shape, weights, tokens);
    }

    [Fact]
    public void Twenty_runs_give_the_same_bits_and_no_tokens_do_nothing()
    {
        Bf16Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 2);
        using MoeLayer layer = Bf16Host.CreateLayer(Small, weights.Source, new MoeLayerOptions { MaxTokens = 512 });
        LayerChecks.RepeatsBitForBit(layer);
    }

    [Fact]
    public void Two_streams_at_once_do_not_disturb_each_other()
    {
        Bf16Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 2);
        using MoeLayer layer = Bf16Host.CreateLayer(Small, weights.Source, new MoeLayerOptions { MaxTokens = 256 });
        LayerChecks.RunsOnStreamsAtOnce(layer, weights.Source, streams: 4, step: 70);
    }

    [Fact]
    public void A_forward_allocates_nothing()
    {
        Bf16Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 2);
        using MoeLayer layer = Bf16Host.CreateLayer(Small, weights.Source, new MoeLayerOptions { MaxTokens = 512 });
        LayerChecks.AllocatesNothing(layer);
    }

    [Fact]
    public void Too_much_memory_is_a_clear_error()
    {
        Bf16Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 2);
        using MoeLayer layer = Bf16Host.CreateLayer(Small, weights.Source, new MoeLayerOptions { MaxTokens = 4 });

        MoeException error = Assert.Throws<MoeException>(() => layer.Method.Memory.Allocate(1L << 46));

        Assert.Equal(MoeReason.OutOfMemory, error.Reason);
        Assert.Contains("70,368,744,177,664 bytes", error.Message, StringComparison.Ordinal);
    }

    private static void Check(MoeLayerShape shape, RandomLayer weights, int tokens)
    {
        using MoeBuffer input = RandomInput.Create(tokens, shape.HiddenSize, seed: tokens + 1);
        using MoeLayer layer = Bf16Host.CreateLayer(shape, weights.Source, new MoeLayerOptions { MaxTokens = tokens });
        using MoeForwardState state = layer.CreateState();
        using DeviceRun run = DeviceRun.Run(layer, state, input.View);
        run.AssertAgrees(layer, weights.Source, input.View);
    }

    private static unsafe MoeBuffer Widen(MoeBuffer bf16)
    {
        var wide = MoeBuffer.OnHost(MoeElementType.Float32, bf16.View.Rows, bf16.View.Columns);
        for (int i = 0; i < bf16.View.Rows * bf16.View.Columns; i++)
        {
            ((float*)wide.View.Address)[i] = BitConverter.UInt32BitsToSingle((uint)((ushort*)bf16.View.Address)[i] << 16);
        }

        return wide;
    }
}
