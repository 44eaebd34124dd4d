using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Marlin.Tests;

public sealed class ForwardTests
{
    private static readonly MoeLayerShape Small = new() { HiddenSize = 288, IntermediateSize = 352, ExpertCount = 8, TopK = 4 };

    /// <summary>Every kernel with every shape: sizes are multiples of 32, most of nothing larger, so that a group's last inputs are missing.</summary>
    public static TheoryData<string, int, int, int, int, int> Shapes()
    {
        var data = new TheoryData<string, int, int, int, int, int>();
        foreach (string kernels in MarlinHost.EveryChoice.Select(row => row.Data))
        {
            data.Add(kernels, 288, 352, 8, 4, 1);
            data.Add(kernels, 288, 352, 8, 4, 19);
            data.Add(kernels, 352, 288, 8, 4, 700);
            data.Add(kernels, 32, 32, 1, 1, 5);
            data.Add(kernels, 96, 160, 256, 8, 40);
            data.Add(kernels, 64, 128, 130, 1, 300);
            data.Add(kernels, 2880, 2880, 4, 2, 3);
            data.Add(kernels, 2880, 2880, 4, 2, 60);
            data.Add(kernels, 2880, 2880, 4, 3, 400);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Shapes))]
    public void Every_kernel_agrees_with_the_oracle(string kernels, int hidden, int intermediate, int experts, int topK, int tokens)
    {
        MarlinHost.RequireDevice();
        MoeLayerShape shape = new() { HiddenSize = hidden, IntermediateSize = intermediate, ExpertCount = experts, TopK = topK };
        using var weights = new RandomLayer(shape, seed: tokens);
        Check(shape, weights, tokens, kernels);
    }

    [Theory]
    [InlineData(MoeRouterScoring.TopKThenSoftmax, true, false, true, 8)]
    [InlineData(MoeRouterScoring.SoftmaxThenTopKRenormalized, false, true, false, 1)]
    [InlineData(MoeRouterScoring.SoftmaxThenTopK, false, false, true, 5)]
    public void Options_of_the_layer(MoeRouterScoring scoring, bool routerBias, bool expertBias, bool isSilu, int topK)
    {
        MarlinHost.RequireDevice();
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

    [Theory]
    [MemberData(nameof(MarlinHost.EveryChoice), MemberType = typeof(MarlinHost))]
    public unsafe void Scales_from_the_least_to_far_above_one(string kernels)
    {
        MarlinHost.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 12);
        MoeTensorView scales = weights.Source.GateUp.Scales;
        var bytes = new Span<byte>((void*)scales.Address, scales.Planes * scales.Rows * scales.Columns);
        for (int i = 0; i < bytes.Length; i++)
        {
            // Rows of their own magnitudes, from 2^-127 up; the largest reach the clamp of the activation and are finite.
            int row = i / scales.Columns;
            bytes[i] = (row % 7) switch { 0 => 0, 1 => (byte)(i % 3), 2 => (byte)(138 + (i % 4)), 3 => 129, _ => bytes[i] };
        }

        Check(Small, weights, 30, kernels);
    }

    [Theory]
    [InlineData(7)]
    [InlineData(300)]
    public void Rows_that_the_kernels_cannot_read_in_place_are_copied(int tokens)
    {
        MarlinHost.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 5);
        using HostTensor input = RandomInput.Create(tokens, Small.HiddenSize, seed: 6);
        using MoeLayer layer = MarlinHost.CreateLayer(Small, weights.Source, tokens);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun aligned = DeviceRun.Run(layer, state, input.View, inputGap: 8);
        using DeviceRun odd = DeviceRun.Run(layer, state, input.View, inputGap: 3, outputGap: 1);

        odd.AssertAgrees(layer, weights.Source, input.View);
        Assert.True(odd.HasBitsOf(aligned));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(60)]
    [InlineData(400)]
    public void The_callers_routing_gives_what_the_router_gave(int tokens)
    {
        MarlinHost.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 8);
        using HostTensor input = RandomInput.Create(tokens, Small.HiddenSize, seed: 9);
        using MoeLayer layer = MarlinHost.CreateLayer(Small, weights.Source, tokens);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun own = DeviceRun.Run(layer, state, input.View);
        using DeviceRun given = DeviceRun.Run(layer, state, input.View, routing: own);

        Assert.True(given.HasBitsOf(own));
    }

    [Theory]
    [MemberData(nameof(MarlinHost.EveryChoice), MemberType = typeof(MarlinHost))]
    public unsafe void One_expert_may_get_every_token(string kernels)
    {
        MarlinHost.RequireDevice();
        MoeLayerShape shape = Small with { TopK = 1 };
        using var weights = new RandomLayer(shape, seed: 3);
        new Span<ushort>((void*)weights.Source.RouterBias.Address, shape.ExpertCount).Clear();
        ((ushort*)weights.Source.RouterBias.Address)[5] = 0x4480; // 1024
        Check(shape, weights, 2, kernels);
        Check(shape, weights, 600, kernels);
    }

    [Theory]
    [MemberData(nameof(MarlinHost.EveryChoice), MemberType = typeof(MarlinHost))]
    public void Twenty_runs_give_the_same_bits_and_no_tokens_do_nothing(string kernels)
    {
        MarlinHost.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 2);
        using MoeLayer layer = MarlinHost.CreateLayer(Small, weights.Source, 512, kernels);
        using MoeForwardState state = layer.CreateState();
        foreach (int tokens in new[] { 1, 31, 512 })
        {
            using HostTensor input = RandomInput.Create(tokens, Small.HiddenSize, seed: tokens);
            using DeviceRun first = DeviceRun.Run(layer, state, input.View);
            for (int i = 0; i < 20; i++)
            {
                using DeviceRun again = DeviceRun.Run(layer, state, input.View);
                Assert.True(again.HasBitsOf(first), $"run {i} of {tokens} tokens");
            }
        }

        using HostTensor none = RandomInput.Create(0, Small.HiddenSize, seed: 1);
        DeviceRun.Run(layer, state, none.View).Dispose();
    }

    [Fact]
    public void Several_streams_at_once_do_not_disturb_each_other()
    {
        MarlinHost.RequireDevice();
        MoeLayerShape shape = Small with { HiddenSize = 1440 };
        using var weights = new RandomLayer(shape, seed: 2);
        using MoeLayer layer = MarlinHost.CreateLayer(shape, weights.Source, 256);
        IMoeMemory memory = layer.Method.Memory;
        Parallel.For(0, 6, new ParallelOptions { MaxDegreeOfParallelism = 6 }, thread =>
        {
            using MoeForwardState state = layer.CreateState();
            nint stream = memory.CreateStream();
            for (int i = 0; i < 10; i++)
            {
                using HostTensor input = RandomInput.Create(1 + (thread * 3), shape.HiddenSize, seed: (thread * 100) + i);
                using DeviceRun run = DeviceRun.Run(layer, state, input.View, stream: stream);
                run.AssertAgrees(layer, weights.Source, input.View);
            }

            memory.DestroyStream(stream);
        });
    }

    [Fact]
    public void A_forward_allocates_nothing()
    {
        MarlinHost.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 2);
        using MoeLayer layer = MarlinHost.CreateLayer(Small, weights.Source, 512);
        using MoeForwardState state = layer.CreateState();
        IMoeMemory memory = layer.Method.Memory;
        foreach (int tokens in new[] { 4, 512 })
        {
            using HostTensor input = RandomInput.Create(tokens, Small.HiddenSize, seed: 4);
            using DeviceTensor x = DeviceTensor.CopyOf(memory, input.View);
            using var output = new DeviceTensor(memory, MoeElementType.BFloat16, tokens, Small.HiddenSize);
            var call = new MoeLayerCall { Input = x.View, Output = output.View };
            layer.Forward(state, call);
            long before = GC.GetAllocatedBytesForCurrentThread();
            for (int i = 0; i < 10; i++)
            {
                layer.Forward(state, call);
            }

            Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
            memory.Synchronize(0);
        }
    }

    private static void Check(MoeLayerShape shape, RandomLayer weights, int tokens, string kernels = MarlinHost.Auto)
    {
        using HostTensor input = RandomInput.Create(tokens, shape.HiddenSize, seed: tokens + 1);
        using MoeLayer layer = MarlinHost.CreateLayer(shape, weights.Source, tokens, kernels);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun run = DeviceRun.Run(layer, state, input.View);
        run.AssertAgrees(layer, weights.Source, input.View);
    }
}
