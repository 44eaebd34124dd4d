using Moe.Plugins;

namespace Fixtures;

/// <summary>A backend that answers with a message, on no device at all.</summary>
internal sealed class FixtureBackend(Func<string> message, int score = 10) : IMoeBackend
{
    public MoeProbeResult Probe(MoeProbeRequest request) => MoeProbeResult.Supported(MoeDevice.Cpu, "fixture", score, message());

    public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request) => new FixtureMethod();

    public ValueTask DisposeAsync() => default;
}
