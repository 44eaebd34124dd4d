namespace Moe.Plugins.Cpu.Tests;

public sealed class InstrumentTests
{
    [Fact]
    public void The_processors_ceilings_are_plausible()
    {
        using IMoeInstruments instruments = Create();
        MoeDeviceCondition condition = instruments.ReadCondition();
        MoeCeilings ceilings = instruments.MeasureCeilings(TestContext.Current.CancellationToken);

        Assert.NotEqual("", condition.Name);
        Assert.False(condition.IsUnfitForMeasuring);
        Assert.InRange(ceilings.ReadGigabytesPerSecond, 0.5, 5000);
        Assert.InRange(ceilings.CopyGigabytesPerSecond, 0.5, 5000);
        Assert.InRange(ceilings.MatrixTeraflops, 0.002, 100);
        Assert.Contains("FMA", ceilings.MatrixSource, StringComparison.Ordinal);
    }

    [Fact]
    public void A_recording_runs_its_work_each_time_and_times_it()
    {
        int runs = 0;
        using IMoeInstruments instruments = Create();
        using IMoeRecording recording = instruments.Record(stream =>
        {
            Assert.Equal(0, stream);
            runs++;
            Thread.Sleep(20);
        });
        Assert.Equal(0, runs);
        Assert.InRange(recording.Replay(), 19_000, 5_000_000);
        recording.Replay();
        Assert.Equal((2, 0), (runs, recording.KernelCount));
    }

    private static IMoeInstruments Create() =>
        Assert.IsType<IMoeInstrumentedBackend>(CpuHost.Shared.FindBackend("Cpu"), exactMatch: false).CreateInstruments(MoeDevice.Cpu);
}
