namespace Moe.Plugins.Conformance.Tests.Liars;

/// <summary>Has groups of threads, up to some ranks, and no layers; correct, but for one lie.</summary>
internal sealed class LyingGroupBackend(GroupLie lie, int mostRanks = int.MaxValue, Action<int>? meeting = null) : IMoeBackend, IMoeParallelBackend
{
    public MoeProbeResult Probe(MoeProbeRequest request) => MoeProbeResult.Unsupported(MoeReason.Shape, "it has no layers");

    public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request) => throw new MoeException(MoeReason.Shape, "it has no layers");

    public MoeProbeResult ProbeGroup(MoeGroupRequest request) => request.Devices.Count > mostRanks
        ? MoeProbeResult.Unsupported(MoeReason.Shape, $"more than {mostRanks} ranks do not go")
        : request.Devices.All(device => device == MoeDevice.Cpu) ? MoeProbeResult.Supported(MoeDevice.Cpu, "a processor", 1)
        : MoeProbeResult.Unsupported(MoeReason.NoDevice, "it runs only on the CPU");

    public IMoeGroup CreateGroup(MoeGroupRequest request) => new LyingGroup(request, lie, meeting);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
