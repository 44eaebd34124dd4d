using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Bf16.Tests;

public sealed class InstrumentTests
{
    private static readonly MoeLayerShape Small = new() { HiddenSize = 288, IntermediateSize = 352, ExpertCount = 8, TopK = 4 };

    [Fact]
    public void The_devices_ceilings_are_plausible()
    {
        using IMoeInstruments instruments = Create();
        MoeDeviceCondition condition = instruments.ReadCondition();
        MoeCeilings ceilings = instruments.MeasureCeilings(TestContext.Current.CancellationToken);

        Assert.NotEqual("", condition.Name);
        Assert.NotNull(condition.Driver);
        Assert.InRange(ceilings.CopyGigabytesPerSecond, 100, 20_000);
        Assert.InRange(ceilings.ReadGigabytesPerSecond, 100, 20_000);
        Assert.InRange(ceilings.MatrixTeraflops, 20, 10_000);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(50)]
    [InlineData(400)]
    public void A_recorded_forward_reads_what_its_buffers_hold_when_it_is_replayed(int tokens)
    {
        using IMoeInstruments instruments = Create();
        using var weights = new RandomLayer(Small, seed: 1);
        using MoeLayer layer = Bf16.Host.CreateLayer(Small, weights.Source, new MoeLayerOptions { MaxTokens = tokens });
        using MoeForwardState state = layer.CreateState();
        IMoeMemory memory = layer.Method.Memory;
        using MoeBuffer first = RandomInput.Create(tokens, Small.HiddenSize, seed: 2);
        using MoeBuffer second = RandomInput.Create(tokens, Small.HiddenSize, seed: 3);
        using DeviceRun expected = DeviceRun.Run(layer, state, second.View);

        using DeviceTensor input = DeviceTensor.CopyOf(memory, first.View);
        using var output = new DeviceTensor(memory, MoeElementType.BFloat16, tokens, Small.HiddenSize);
        using IMoeRecording recording = instruments.Record(
            stream => layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View, Stream = stream }));
        Assert.InRange(recording.KernelCount, 4, 6);
        Assert.True(recording.Replay() > 0);
        memory.CopyIn(input.View.Address, second.View.Address, second.ByteCount, 0);
        memory.Synchronize(0);
        recording.Replay();

        using MoeBuffer result = output.Download();
        Assert.Equal(0, TensorDifference.Measure(result.View, expected.Output.View).MaxAbsError);
    }

    private static IMoeInstruments Create()
    {
        Bf16.Host.RequireDevice();
        var backend = Assert.IsType<IMoeInstrumentedBackend>(Bf16.Host.Backend, exactMatch: false);
        return backend.CreateInstruments(Bf16.Host.Candidate(Small).Device!.Value);
    }
}
