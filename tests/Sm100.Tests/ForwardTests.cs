using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>Whole layers on whatever products the device has, in guarded buffers.</summary>
public sealed class ForwardTests
{
    /// <summary>Against an oracle that rounds activations to MXFP8 too: what is left is BF16 in the partial results and the output.</summary>
    internal const double Tolerance = 3e-3;

    private static readonly MoeLayerShape Small = new() { HiddenSize = 288, IntermediateSize = 352, ExpertCount = 8, TopK = 4 };

    public static TheoryData<string, int, int, int, int, int> Shapes() => TestCases.Mxfp4Layers(Sm100Host.EveryChoice);

    [Theory]
    [MemberData(nameof(Shapes))]
    public void A_layer_agrees_with_both_oracles(string kernels, int hidden, int intermediate, int experts, int topK, int tokens)
    {
        Sm100Host.RequireDevice();
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
        Sm100Host.RequireDevice();
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
    [MemberData(nameof(Sm100Host.EveryChoice), MemberType = typeof(Sm100Host))]
    public unsafe void Rows_have_factors_of_their_own_where_scales_are_large(string kernels)
    {
        Sm100Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 12);
        MoeTensorView scales = weights.Tensors.GateUp.Scales;
        var bytes = new Span<byte>((void*)scales.Address, scales.Planes * scales.Rows * scales.Columns);
        for (int i = 0; i < bytes.Length; i++)
        {
            int row = i / scales.Columns;
            bytes[i] = (row % 7) switch { 0 => 0, 1 => (byte)(i % 3), 2 => (byte)(130 + (i % 4)), 3 => 129, _ => bytes[i] };
        }

        using MoeBuffer input = RandomInput.Create(30, Small.HiddenSize, seed: 13);
        using MoeLayer layer = Sm100Host.CreateLayer(Small, weights.Source, 30, kernels);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun run = DeviceRun.Run(layer, state, input.View);
        run.AssertAgrees(layer, weights.Source, input.View, OracleActivations.Mxfp8, Tolerance);
    }

    [Theory]
    [MemberData(nameof(Sm100Host.EveryChoice), MemberType = typeof(Sm100Host))]
    public void One_expert_may_get_every_token(string kernels)
    {
        Sm100Host.RequireDevice();
        MoeLayerShape shape = Small with { TopK = 1 };
        using var weights = new RandomLayer(shape, seed: 3);
        LayerChecks.SendEveryTokenTo(5, weights.Source, shape.ExpertCount);
        Check(shape, weights, 2, kernels);
        Check(shape, weights, 600, kernels);
    }

    [Theory]
    [MemberData(nameof(Sm100Host.EveryChoice), MemberType = typeof(Sm100Host))]
    public unsafe void Blocks_of_zeros_before_and_between_the_products_stay_zeros(string kernels)
    {
        Sm100Host.RequireDevice();

        // Without biases, zeros stay zeros through a whole expert.
        MoeLayerShape shape = Small with { HasExpertBias = false };
        using var weights = new RandomLayer(shape, seed: 7);
        using MoeBuffer input = RandomInput.Create(40, shape.HiddenSize, seed: 7);
        for (int row = 0; row < 40; row++)
        {
            var values = new Span<ushort>((void*)input.View.RowAddress(row), shape.HiddenSize);
            values.Slice(row % 9 * 32, 32).Clear();
            if (row % 5 == 0)
            {
                values.Clear();
            }
        }

        using MoeLayer layer = Sm100Host.CreateLayer(shape, weights.Source, 40, kernels);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun run = DeviceRun.Run(layer, state, input.View);
        run.AssertAgrees(layer, weights.Source, input.View, OracleActivations.Mxfp8, Tolerance);
        var first = new ReadOnlySpan<ushort>((void*)run.Output.View.RowAddress(0), shape.HiddenSize);
        Assert.Equal(-1, first.IndexOfAnyExcept((ushort)0, (ushort)0x8000));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(60)]
    [InlineData(400)]
    public void The_callers_routing_gives_what_the_router_gave(int tokens)
    {
        Sm100Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 8);
        using MoeLayer layer = Sm100Host.CreateLayer(Small, weights.Source, tokens);
        LayerChecks.FollowsTheCallersRouting(layer, tokens);
    }

    [Theory]
    [MemberData(nameof(Sm100Host.EveryChoice), MemberType = typeof(Sm100Host))]
    public void Runs_repeat_bit_for_bit_whatever_lies_behind_the_rows_and_no_tokens_do_nothing(string kernels)
    {
        Sm100Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 2);
        using MoeLayer layer = Sm100Host.CreateLayer(Small, weights.Source, 300, kernels);
        using MoeForwardState state = layer.CreateState();
        foreach (int tokens in new[] { 1, 31, 300 })
        {
            using MoeBuffer input = RandomInput.Create(tokens, Small.HiddenSize, seed: tokens);
            using DeviceRun first = DeviceRun.Run(layer, state, input.View, inputGap: 0, outputGap: 0);
            foreach (int gap in new[] { 8, 16, 3, 0, 8, 0, 1, 8, 8, 0, 8 })
            {
                using DeviceRun again = DeviceRun.Run(layer, state, input.View, inputGap: gap, outputGap: gap);
                Assert.True(again.HasBitsOf(first), $"{tokens} tokens, {gap} elements behind each row");
            }
        }

        using MoeBuffer none = RandomInput.Create(0, Small.HiddenSize, seed: 1);
        DeviceRun.Run(layer, state, none.View).Dispose();
    }

    [Theory]
    [MemberData(nameof(Sm100Host.EveryChoice), MemberType = typeof(Sm100Host))]
    public void Padded_and_sliced_by_the_host_it_gives_the_same_bits(string kernels)
    {
        Sm100Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 21);
        using MoeLayer skips = Sm100Host.CreateLayer(Small, weights.Source, 150, kernels);
        using MoeLayer pads = Sm100Host.CreateLayer(Small, weights.Source, 150, kernels, new OwnBuffers());
        Assert.False(skips.Config.HostPadsInput || skips.Config.HostSlicesOutput);
        Assert.True(pads.Config.HostPadsInput && pads.Config.HostSlicesOutput);
        using MoeForwardState skipping = skips.CreateState();
        using MoeForwardState padding = pads.CreateState();
        foreach (int tokens in new[] { 1, 17, 150 })
        {
            using MoeBuffer input = RandomInput.Create(tokens, Small.HiddenSize, seed: tokens);
            using DeviceRun skipped = DeviceRun.Run(skips, skipping, input.View);
            using DeviceRun padded = DeviceRun.Run(pads, padding, input.View);
            Assert.True(padded.HasBitsOf(skipped), $"{tokens} tokens");
        }
    }

    [Theory]
    [MemberData(nameof(Sm100Host.EveryChoice), MemberType = typeof(Sm100Host))]
    public unsafe void A_recorded_forward_replays_to_the_same_bits(string kernels)
    {
        Sm100Host.RequireDevice();
        const int Tokens = 45;
        using var weights = new RandomLayer(Small, seed: 22);
        using MoeBuffer input = RandomInput.Create(Tokens, Small.HiddenSize, seed: 23);
        using MoeLayer layer = Sm100Host.CreateLayer(Small, weights.Source, Tokens, kernels);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun direct = DeviceRun.Run(layer, state, input.View);
        IMoeMemory memory = layer.Method.Memory;
        using DeviceTensor x = DeviceTensor.CopyOf(memory, input.View, gapElements: 8);
        using var output = new DeviceTensor(memory, MoeElementType.BFloat16, Tokens, Small.HiddenSize, gapElements: 8);
        var backend = Assert.IsType<IMoeInstrumentedBackend>(Sm100Host.Shared.FindBackend(Sm100Host.Id), exactMatch: false);
        using IMoeInstruments instruments = backend.CreateInstruments(layer.Device);
        using IMoeRecording recording = instruments.Record(
            stream => layer.Forward(state, new MoeLayerCall { Input = x.View, Output = output.View, Stream = stream }));
        recording.Replay();
        recording.Replay();

        using MoeBuffer replayed = output.Download();
        Assert.True(new ReadOnlySpan<byte>((void*)replayed.View.Address, (int)replayed.ByteCount)
            .SequenceEqual(new ReadOnlySpan<byte>((void*)direct.Output.View.Address, (int)direct.Output.ByteCount)));
    }

    [Fact]
    public void Several_streams_at_once_do_not_disturb_each_other()
    {
        Sm100Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 2);
        using MoeLayer layer = Sm100Host.CreateLayer(Small, weights.Source, 256);
        LayerChecks.RunsOnStreamsAtOnce(layer, weights.Source, streams: 6, step: 3, OracleActivations.Mxfp8, Tolerance);
    }

    [Fact]
    public void A_forward_allocates_nothing()
    {
        Sm100Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 2);
        using MoeLayer layer = Sm100Host.CreateLayer(Small, weights.Source, 512);
        LayerChecks.AllocatesNothing(layer);
    }

    private static void Check(MoeLayerShape shape, RandomLayer weights, int tokens, string kernels = Sm100Host.Auto)
    {
        using MoeBuffer input = RandomInput.Create(tokens, shape.HiddenSize, seed: tokens + 1);
        using MoeLayer layer = Sm100Host.CreateLayer(shape, weights.Source, tokens, kernels);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun run = DeviceRun.Run(layer, state, input.View);
        run.AssertAgrees(layer, weights.Source, input.View, OracleActivations.Mxfp8, Tolerance);
        run.AssertAgrees(layer, weights.Source, input.View);
    }

    /// <summary>Changes no size, but hands tokens on in its own buffers, so that a skip does not count.</summary>
    private sealed class OwnBuffers : IMoeDispatcher;
}
