namespace Moe.Plugins.Cpu;

/// <summary>Measures the processor with the backend's own threads.</summary>
internal sealed class CpuInstruments(CpuTeam team) : IMoeInstruments
{
    private readonly OtherWork _others = new();

    public MoeDeviceCondition ReadCondition() => new() { Name = ProcessorName.Read(), Throttle = _others.Describe() };

    public MoeCeilings MeasureCeilings(CancellationToken cancellationToken)
    {
        using var ceilings = new CpuCeilings(team);
        string threads = team.ThreadCount == 1 ? "1 thread" : $"{team.ThreadCount} threads";
        return new MoeCeilings
        {
            ReadGigabytesPerSecond = ceilings.ReadBandwidth(cancellationToken),
            CopyGigabytesPerSecond = ceilings.CopyBandwidth(cancellationToken),
            MatrixTeraflops = ceilings.FmaPeak(cancellationToken) / 1e3,
            MatrixSource = $"float32 FMA from registers, {FmaLoop.Name}, {threads}",
        };
    }

    public IMoeRecording Record(Action<nint> enqueue)
    {
        ArgumentNullException.ThrowIfNull(enqueue);
        return new CpuRecording(enqueue);
    }

    public void Dispose()
    {
        // The threads are the backend's.
    }
}
