using Moe.Plugins;

namespace Contoso.MyBackend;

/// <summary>Says what can be run here, and makes the method of a layer.</summary>
internal sealed class Backend : IMoeBackend
{
    /// <summary>More is better where the host chooses; 0 to 99 are for CPUs.</summary>
    private const int Score = 10;

    public MoeProbeResult Probe(MoeProbeRequest request) => request.Device is null || request.Device == MoeDevice.Cpu
        ? MoeProbeResult.Supported(MoeDevice.Cpu, "CPU", Score)
        : MoeProbeResult.Unsupported(MoeReason.NoDevice, $"it runs on the CPU alone, and {request.Device} was asked for");

    public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request) => new Method(request.Shape);

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
