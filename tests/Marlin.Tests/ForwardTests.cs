using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Marlin.Tests;

public sealed class ForwardTests : CudaForwardTests
{
    public static TheoryData<string> Choices => Marlin.Choices;

    public static TheoryData<string, int, int, int, int, int> Layers => TestCases.Mxfp4Layers(Choices);

    private protected override CudaHost Host => Marlin.Host;

    [Theory]
    [MemberData(nameof(Choices))]
    public unsafe void Scales_from_the_least_to_far_above_one(string kernels)
    {
        Host.RequireDevice();
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

    /// <summary>The results of few tokens end within a step of inputs, and what lies behind them is multiplied too.</summary>
    [Theory]
    [MemberData(nameof(Choices))]
    public void What_memory_held_before_a_layer_does_not_matter(string kernels)
    {
        Host.RequireDevice();
        MoeLayerShape shape = Small with { HiddenSize = 320 };
        using var weights = new RandomLayer(shape, seed: 24);
        using MoeLayer layer = Host.CreateLayer(shape, weights.Source, 8, kernels);
        foreach (int bytes in (int[])[8 * shape.TopK * 384 * sizeof(ushort), 8 * shape.TopK * shape.HiddenSize * sizeof(ushort), 2 << 20])
        {
            // NaN, in as much as a driver may hand out again.
            byte[] garbage = new byte[bytes];
            Array.Fill(garbage, (byte)0xFF);
            MoeBuffer[] freed = [.. Enumerable.Range(0, 50).Select(_ => new MoeBuffer(layer.Method.Memory, MoeElementType.UInt8, 1, bytes))];
            foreach (MoeBuffer buffer in freed)
            {
                buffer.CopyFromBytes(garbage);
            }

            foreach (MoeBuffer buffer in freed)
            {
                buffer.Dispose();
            }
        }

        using MoeForwardState state = layer.CreateState();
        foreach (int tokens in (int[])[8, 1, 3])
        {
            using MoeBuffer input = RandomInput.Create(tokens, shape.HiddenSize, seed: tokens);
            using DeviceRun run = DeviceRun.Run(layer, state, input.View);
            run.AssertAgrees(layer, weights.Source, input.View);
        }
    }

    [Fact]
    public void A_layer_is_made_while_another_is_being_recorded()
    {
        Host.RequireDevice();
        using var weights = new RandomLayer(Small, seed: 5);
        using MoeLayer recorded = Host.CreateLayer(Small, weights.Source, 8);
        using MoeForwardState state = recorded.CreateState();
        using MoeBuffer input = RandomInput.Create(8, Small.HiddenSize, seed: 5);
        using DeviceTensor x = DeviceTensor.CopyOf(recorded.Method.Memory, input.View);
        using var y = new DeviceTensor(recorded.Method.Memory, MoeElementType.BFloat16, 8, Small.HiddenSize);
        var backend = (IMoeInstrumentedBackend)Host.Backend;
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
            using MoeLayer other = Host.CreateLayer(Small, weights.Source, 8);
            using MoeForwardState own = other.CreateState();
            nint stream = other.Method.Memory.CreateStream();
            using DeviceRun run = DeviceRun.Run(other, own, input.View, stream: stream);
            run.AssertAgrees(other, weights.Source, input.View);
            other.Method.Memory.DestroyStream(stream);
        }
    }
}
