using Moe.Plugins.Conformance;

namespace Moe.Plugins.Tests;

/// <summary>What every CUDA backend's layers have to hold, whatever their kernels. A backend's tests add what is theirs.</summary>
/// <remarks>A derived class has a static <c>Choices</c>, the kernels that can be asked for, and <c>Layers</c>, theirs with sizes.</remarks>
public abstract class CudaForwardTests
{
    private protected static MoeLayerShape Small { get; } = new() { HiddenSize = 288, IntermediateSize = 352, ExpertCount = 8, TopK = 4 };

    private protected abstract CudaHost Host { get; }

    /// <summary>How the oracle rounds activations.</summary>
    private protected virtual OracleActivations Activations => OracleActivations.Exact;

    /// <summary>The relative error against that oracle; null for what the method promises.</summary>
    private protected virtual double? Tolerance => null;

    public static TheoryData<string, bool, bool, bool, int> Options()
    {
        var data = new TheoryData<string, bool, bool, bool, int>();
        foreach (string scoring in RouterPresets.Names)
        {
            data.Add(scoring, true, false, true, 8);
            data.Add(scoring, false, true, false, 1);
        }

        data.Add(nameof(MoeRouter.SoftmaxThenTopK), false, false, true, 5);
        return data;
    }

    [Theory]
    [MemberData("Layers")]
    public void Every_kernel_agrees_with_the_oracle(string kernels, int hidden, int intermediate, int experts, int topK, int tokens)
    {
        Host.RequireDevice();
        MoeLayerShape shape = new() { HiddenSize = hidden, IntermediateSize = intermediate, ExpertCount = experts, TopK = topK };
        using var weights = new RandomLayer(shape, seed: tokens);
        Check(shape, weights, tokens, kernels);
    }

    [Theory]
    [MemberData(nameof(Options))]
    public void Options_of_the_layer(string scoring, bool routerBias, bool expertBias, bool isSilu, int topK)
    {
        Host.RequireDevice();
        MoeLayerShape shape = Small with
        {
            TopK = topK,
            Router = RouterPresets.Of(scoring) with { HasLogitBias = routerBias },
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
        Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 5);
        using MoeBuffer input = RandomInput.Create(tokens, Small.HiddenSize, seed: 6);
        using MoeLayer layer = Host.CreateLayer(Small, weights.Source, tokens);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun aligned = DeviceRun.Run(layer, state, input.View, inputGap: 8);
        using DeviceRun odd = DeviceRun.Run(layer, state, input.View, inputGap: 3, outputGap: 1);

        odd.AssertAgrees(layer, weights.Source, input.View, Activations, Tolerance);
        Assert.True(odd.HasBitsOf(aligned));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(60)]
    [InlineData(400)]
    public void The_callers_routing_gives_what_the_router_gave(int tokens)
    {
        Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 8);
        using MoeLayer layer = Host.CreateLayer(Small, weights.Source, tokens);
        LayerChecks.FollowsTheCallersRouting(layer, tokens);
    }

    [Theory]
    [MemberData("Choices")]
    public void NaN_is_handed_on(string kernels)
    {
        Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 9);
        using MoeLayer layer = Host.CreateLayer(Small, weights.Source, 65, kernels);
        LayerChecks.HandsNanOn(layer, 3);
        LayerChecks.HandsNanOn(layer, 65);
    }

    [Theory]
    [MemberData("Choices")]
    public void One_expert_may_get_every_token(string kernels)
    {
        Host.RequireDevice();
        MoeLayerShape shape = Small with { TopK = 1 };
        using var weights = new RandomLayer(shape, seed: 3);
        LayerChecks.SendEveryTokenTo(5, weights, shape.ExpertCount);
        Check(shape, weights, 2, kernels);
        Check(shape, weights, 65, kernels);
        Check(shape, weights, 600, kernels);
    }

    [Theory]
    [MemberData("Choices")]
    public void Twenty_runs_give_the_same_bits_and_no_tokens_do_nothing(string kernels)
    {
        Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 2);
        using MoeLayer layer = Host.CreateLayer(Small, weights.Source, 512, kernels);
        LayerChecks.RepeatsBitForBit(layer, 1, 31, 512);
    }

    /// <summary>A tile's sums are long here, and which block makes which tile differs from run to run.</summary>
    [Fact]
    public void Few_tokens_of_a_deep_layer_have_the_same_bits_in_each_of_twenty_runs()
    {
        Host.RequireDevice();
        MoeLayerShape shape = Small with { HiddenSize = 2880, IntermediateSize = 2880 };
        using var weights = new RandomLayer(shape, seed: 23);
        using MoeLayer layer = Host.CreateLayer(shape, weights.Source, 8);
        LayerChecks.RepeatsBitForBit(layer, 1, 5, 8);
    }

    [Theory]
    [InlineData(6, 3)]
    [InlineData(4, 70)]
    public void Several_streams_at_once_do_not_disturb_each_other(int streams, int step)
    {
        Host.RequireDevice();
        MoeLayerShape shape = Small with { HiddenSize = 1440 };
        using var weights = new RandomLayer(shape, seed: 2);
        using MoeLayer layer = Host.CreateLayer(shape, weights.Source, 256);
        LayerChecks.RunsOnStreamsAtOnce(layer, weights.Source, streams, step, Activations, Tolerance);
    }

    /// <summary>Through forwards of few and of many tokens in turns, and when the layer that made the memory is gone.</summary>
    [Fact]
    public void Layers_that_take_turns_have_one_memory()
    {
        Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 21);
        using var otherWeights = new RandomLayer(Small, seed: 22);
        var options = new MoeLayerOptions { MaxTokens = 300, Turns = new MoeTurns() };
        using MoeLayer layer = Host.CreateLayer(Small, weights.Source, options);
        using MoeLayer other = Host.CreateLayer(Small, otherWeights.Source, options);
        using MoeLayer apart = Host.CreateLayer(Small, weights.Source, options with { Turns = new MoeTurns() });
        using MoeForwardState state = layer.CreateState();
        using MoeForwardState shared = other.CreateState();
        using MoeForwardState own = apart.CreateState();
        Assert.Equal(state.ByteCount, own.ByteCount);
        Assert.InRange(shared.ByteCount, 0, state.ByteCount / 2);
        foreach (int tokens in (int[])[1, 300, 9, 65, 2])
        {
            Run(layer, state, weights, tokens);
            Run(other, shared, otherWeights, tokens);
        }

        layer.Dispose();
        Run(other, shared, otherWeights, 65);

        void Run(MoeLayer which, MoeForwardState its, RandomLayer source, int tokens)
        {
            using MoeBuffer input = RandomInput.Create(tokens, Small.HiddenSize, seed: tokens);
            using DeviceRun run = DeviceRun.Run(which, its, input.View);
            run.AssertAgrees(which, source.Source, input.View, Activations, Tolerance);
        }
    }

    [Fact]
    public void A_forward_allocates_nothing()
    {
        Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 2);
        using MoeLayer layer = Host.CreateLayer(Small, weights.Source, 512);
        LayerChecks.AllocatesNothing(layer);
    }

    /// <summary>Runs random tokens, and fails unless they come out as the oracle has them, and as near to exact arithmetic as is promised.</summary>
    private protected void Check(MoeLayerShape shape, RandomLayer weights, int tokens, string kernels = CudaHost.Auto)
    {
        using MoeBuffer input = RandomInput.Create(tokens, shape.HiddenSize, seed: tokens + 1);
        using MoeLayer layer = Host.CreateLayer(shape, weights.Source, tokens, kernels);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun run = DeviceRun.Run(layer, state, input.View);
        run.AssertAgrees(layer, weights.Source, input.View, Activations, Tolerance);
        if (Activations != OracleActivations.Exact)
        {
            run.AssertAgrees(layer, weights.Source, input.View);
        }
    }
}
