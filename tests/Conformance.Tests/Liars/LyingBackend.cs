namespace Moe.Plugins.Conformance.Tests.Liars;

/// <summary>A small correct backend on the CPU, but for one lie.</summary>
internal sealed class LyingBackend(Lie lie) : IMoeBackend
{
    public MoeProbeResult Probe(MoeProbeRequest request)
    {
        if (lie == Lie.ThrowsInProbe && request.Shape.ExpertCount > 1000)
        {
            throw new InvalidOperationException("too many experts");
        }

        bool isThere = request.Device is null || request.Device == MoeDevice.Cpu || lie == Lie.FindsDevicesThatAreNotThere;
        return isThere
            ? MoeProbeResult.Supported(request.Device ?? MoeDevice.Cpu, "a processor", 1)
            : MoeProbeResult.Unsupported(MoeReason.NoDevice, "it runs on the CPU alone");
    }

    public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request) => new LyingMethod(request.Shape, lie);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
