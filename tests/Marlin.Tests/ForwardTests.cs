using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Marlin.Tests;

public sealed class ForwardTests
{
    private static readonly MoeLayerShape Small = new() { HiddenSize = 288, IntermediateSize = 352, ExpertCount = 8, TopK = 4 };

    public static TheoryData<string, int, int, int, int, int> Shapes() => TestCases.Mxfp4Layers(MarlinHost.EveryChoice);

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
    [InlineData(nameof(MoeRouter.TopKThenSoftmax), true, false, true, 8)]
    [InlineData(nameof(MoeRouter.SoftmaxThenTopKRenormalized), false, true, false, 1)]
    [InlineData(nameof(MoeRouter.SoftmaxThenTopK), false, false, true, 5)]
    public void Options_of_the_layer(string preset, bool routerBias, bool expertBias, bool isSilu, int topK)
    {
        MarlinHost.RequireDevice();
        MoeLayerShape shape = Small with
        {
            TopK = topK,
            Router = RouterPresets.Of(preset) with { HasLogitBias = routerBias },
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
        MoeTensorView scales = weights.Tensors.GateUp.Scales;
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
        using MoeBuffer input = RandomInput.Create(tokens, Small.HiddenSize, seed: 6);
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
        using MoeLayer layer = MarlinHost.CreateLayer(Small, weights.Source, tokens);
        LayerChecks.FollowsTheCallersRouting(layer, tokens);
    }

    [Theory]
    [MemberData(nameof(MarlinHost.EveryChoice), MemberType = typeof(MarlinHost))]
    public void One_expert_may_get_every_token(string kernels)
    {
        MarlinHost.RequireDevice();
        MoeLayerShape shape = Small with { TopK = 1 };
        using var weights = new RandomLayer(shape, seed: 3);
        LayerChecks.SendEveryTokenTo(5, weights.Source, shape.ExpertCount);
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
        LayerChecks.RepeatsBitForBit(layer);
    }

    [Fact]
    public void Several_streams_at_once_do_not_disturb_each_other()
    {
        MarlinHost.RequireDevice();
        MoeLayerShape shape = Small with { HiddenSize = 1440 };
        using var weights = new RandomLayer(shape, seed: 2);
        using MoeLayer layer = MarlinHost.CreateLayer(shape, weights.Source, 256);
        LayerChecks.RunsOnStreamsAtOnce(layer, weights.Source, streams: 6, step: 3);
    }

    [Fact]
    public void A_layer_is_made_while_another_is_being_recorded()
    {
        MarlinHost.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 5);
        using MoeLayer recorded = MarlinHost.CreateLayer(Small, weights.Source, 8);
        using MoeForwardState state = recorded.CreateState();
        using MoeBuffer input = RandomInput.Create(8, Small.HiddenSize, seed: 5);
        using DeviceTensor x = DeviceTensor.CopyOf(recorded.Method.Memory, input.View);
        using var y = new DeviceTensor(recorded.Method.Memory, MoeElementType.BFloat16, 8, Small.HiddenSize);
        var backend = (IMoeInstrumentedBackend)MarlinHost.Shared.FindBackend(MarlinHost.Id)!;
        using IMoeInstruments instruments = backend.CreateInstruments(MoeDevice.Cuda(0));
        using IMoeRecording recording = instruments.Record(stream =>
        {
            // On a thread of its own, which a waiting task need not be: the one that records may not allocate.
            Task.Factory.StartNew(RunAnother, TestContext.Current.CancellationToken, TaskCreationOptions.LongRunning, TaskScheduler.Default).GetAwaiter().GetResult();
            recorded.Forward(state, new MoeLayerCall { Input = x.View, Output = y.View, Stream = stream });
        });
        recording.Replay();

        void RunAnother()
        {
            using MoeLayer other = MarlinHost.CreateLayer(Small, weights.Source, 8);
            using MoeForwardState own = other.CreateState();
            nint stream = other.Method.Memory.CreateStream();
            using DeviceRun run = DeviceRun.Run(other, own, input.View, stream: stream);
            run.AssertAgrees(other, weights.Source, input.View);
            other.Method.Memory.DestroyStream(stream);
        }
    }

    [Fact]
    public void A_forward_allocates_nothing()
    {
        MarlinHost.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 2);
        using MoeLayer layer = MarlinHost.CreateLayer(Small, weights.Source, 512);
        LayerChecks.AllocatesNothing(layer);
    }

    private static void Check(MoeLayerShape shape, RandomLayer weights, int tokens, string kernels = MarlinHost.Auto)
    {
        using MoeBuffer input = RandomInput.Create(tokens, shape.HiddenSize, seed: tokens + 1);
        using MoeLayer layer = MarlinHost.CreateLayer(shape, weights.Source, tokens, kernels);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun run = DeviceRun.Run(layer, state, input.View);
        run.AssertAgrees(layer, weights.Source, input.View);
    }
}
