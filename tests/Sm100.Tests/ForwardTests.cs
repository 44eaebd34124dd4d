using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>Whole layers on whatever products the device has, in guarded buffers.</summary>
public class ForwardTests : CudaForwardTests
{
    /// <summary>Against an oracle that rounds activations to MXFP8 too: what is left is BF16 in the partial results and the output.</summary>
    internal const double OwnTolerance = 3e-3;

    public static TheoryData<string> Choices => Sm100.Choices;

    public static TheoryData<string, int, int, int, int, int> Layers => TestCases.Mxfp4Layers(Choices);

    private protected override CudaHost Host => Sm100.Host;

    private protected override OracleActivations Activations => OracleActivations.Mxfp8;

    private protected override double? Tolerance => OwnTolerance;

    [Theory]
    [MemberData(nameof(Choices))]
    public unsafe void Rows_have_factors_of_their_own_where_scales_are_large(string kernels)
    {
        Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 12);
        MoeTensorView scales = weights.Tensors.GateUp.Scales;
        var bytes = new Span<byte>((void*)scales.Address, scales.Planes * scales.Rows * scales.Columns);
        for (int i = 0; i < bytes.Length; i++)
        {
            int row = i / scales.Columns;
            bytes[i] = (row % 7) switch { 0 => 0, 1 => (byte)(i % 3), 2 => (byte)(130 + (i % 4)), 3 => 129, _ => bytes[i] };
        }

        using MoeBuffer input = RandomInput.Create(30, Small.HiddenSize, seed: 13);
        using MoeLayer layer = Host.CreateLayer(Small, weights.Source, 30, kernels);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun run = DeviceRun.Run(layer, state, input.View);
        run.AssertAgrees(layer, weights.Source, input.View, Activations, Tolerance);
    }

    [Theory]
    [MemberData(nameof(Choices))]
    public unsafe void Blocks_of_zeros_before_and_between_the_products_stay_zeros(string kernels)
    {
        Host.RequireDevice();

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

        using MoeLayer layer = Host.CreateLayer(shape, weights.Source, 40, kernels);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun run = DeviceRun.Run(layer, state, input.View);
        run.AssertAgrees(layer, weights.Source, input.View, Activations, Tolerance);
        var first = new ReadOnlySpan<ushort>((void*)run.Output.View.RowAddress(0), shape.HiddenSize);
        Assert.Equal(-1, first.IndexOfAnyExcept((ushort)0, (ushort)0x8000));
    }

    [Theory]
    [MemberData(nameof(Choices))]
    public void Runs_repeat_bit_for_bit_whatever_lies_behind_the_rows(string kernels)
    {
        Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 2);
        using MoeLayer layer = Host.CreateLayer(Small, weights.Source, 300, kernels);
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
    }

    [Theory]
    [MemberData(nameof(Choices))]
    public void Padded_and_sliced_by_the_host_it_gives_the_same_bits(string kernels)
    {
        Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 21);
        using MoeLayer skips = Host.CreateLayer(Small, weights.Source, 150, kernels);
        using MoeLayer pads = Host.CreateLayer(Small, weights.Source, new MoeLayerOptions { MaxTokens = 150, ForcePadding = true }, kernels);
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
    [MemberData(nameof(Choices))]
    public unsafe void A_recorded_forward_replays_to_the_same_bits(string kernels)
    {
        Host.RequireDevice();
        const int Tokens = 45;
        using var weights = new RandomLayer(Small, seed: 22);
        using MoeBuffer input = RandomInput.Create(Tokens, Small.HiddenSize, seed: 23);
        using MoeLayer layer = Host.CreateLayer(Small, weights.Source, Tokens, kernels);
        using MoeForwardState state = layer.CreateState();
        using DeviceRun direct = DeviceRun.Run(layer, state, input.View);
        IMoeMemory memory = layer.Method.Memory;
        using DeviceTensor x = DeviceTensor.CopyOf(memory, input.View, gapElements: 8);
        using var output = new DeviceTensor(memory, MoeElementType.BFloat16, Tokens, Small.HiddenSize, gapElements: 8);
        var backend = Assert.IsType<IMoeInstrumentedBackend>(Host.Backend, exactMatch: false);
        using IMoeInstruments instruments = backend.CreateInstruments(layer.Device);
        using IMoeRecording recording = instruments.Record(
            stream => layer.Forward(state, new MoeLayerCall { Input = x.View, Output = output.View, Stream = stream }));
        recording.Replay();
        recording.Replay();

        using MoeBuffer replayed = output.Download();
        Assert.True(new ReadOnlySpan<byte>((void*)replayed.View.Address, (int)replayed.ByteCount)
            .SequenceEqual(new ReadOnlySpan<byte>((void*)direct.Output.View.Address, (int)direct.Output.ByteCount)));
    }
}
