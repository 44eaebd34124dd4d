namespace Moe.Plugins.Cli.Tests;

/// <summary>
/// A device of 200 GB/s read, 100 GB/s copied and 1 TFLOP/s, on which every recording takes 800, 801, 802 … microseconds, and 10 for each copy
/// of rows.
/// </summary>
internal sealed class FakeInstruments(FakeBackend backend) : IMoeInstruments
{
    public const double FirstTime = 800;
    public const double CopyTime = 10;
    public const double ReadGigabytesPerSecond = 200;
    public const double Teraflops = 1;

    public MoeDeviceCondition ReadCondition() => backend.Condition();

    public MoeCeilings MeasureCeilings(CancellationToken cancellationToken = default) => new()
    {
        CopyGigabytesPerSecond = 100,
        ReadGigabytesPerSecond = ReadGigabytesPerSecond,
        MatrixTeraflops = Teraflops * backend.NextRate(),
        MatrixSource = "a test",
    };

    public IMoeRecording Record(Action<nint> enqueue) => new Recording(backend, enqueue);

    public void Dispose()
    {
    }

    private sealed class Recording(FakeBackend backend, Action<nint> enqueue) : IMoeRecording
    {
        private int _replays;

        public int KernelCount => 0;

        public double Replay()
        {
            backend.Replay = _replays;
            int copies = backend.Copies;
            enqueue(0);
            return FirstTime + _replays++ + ((backend.Copies - copies) * CopyTime);
        }

        public void Dispose()
        {
        }
    }
}
