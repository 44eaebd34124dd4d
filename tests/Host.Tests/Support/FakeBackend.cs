namespace Moe.Plugins.Tests;

/// <summary>A backend whose answer a test gives.</summary>
internal sealed class FakeBackend : IMoePlugin, IMoeBackend
{
    public Func<MoeProbeRequest, MoeProbeResult> Answer { get; init; } = _ => MoeProbeResult.Supported(MoeDevice.Cpu, "fake", 1);

    public Func<IMoeQuantMethod>? Method { get; init; }

    public bool IsDisposed { get; private set; }

    public static CompiledInPlugin Scoring(string id, int score) =>
        new FakeBackend { Answer = _ => MoeProbeResult.Supported(MoeDevice.Cpu, "fake", score) }.As(id);

    public static CompiledInPlugin Refusing(string id, MoeReason reason = MoeReason.NoDevice) =>
        new FakeBackend { Answer = _ => MoeProbeResult.Unsupported(reason, $"{id} has its reasons") }.As(id);

    /// <summary>Ranks high, and has a device without memory.</summary>
    public static CompiledInPlugin FailingAtWeights(string id, int score, Exception exception) => new FakeBackend
    {
        Answer = _ => MoeProbeResult.Supported(MoeDevice.Cpu, "fake", score),
        Method = () => new RecordingMethod(new HostMemory()) { Fails = exception },
    }.As(id);

    public CompiledInPlugin As(string id) => new(id, "1.2.3", MoeContract.Version, () => this);

    public IMoeBackend CreateBackend(IMoePluginContext context) => this;

    public MoeProbeResult Probe(MoeProbeRequest request) => Answer(request);

    public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request) => Method?.Invoke() ?? new RecordingMethod(new HostMemory());

    public ValueTask DisposeAsync()
    {
        IsDisposed = true;
        return default;
    }
}
