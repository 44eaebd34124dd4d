namespace Moe.Plugins.Abstractions.Tests;

public sealed class MoeProbeResultTests
{
    [Fact]
    public void A_refusal_needs_a_reason_and_a_sentence()
    {
        Assert.Throws<ArgumentException>(() => MoeProbeResult.Unsupported(MoeReason.None, "because"));
        Assert.Throws<ArgumentException>(() => MoeProbeResult.Unsupported(MoeReason.NoDevice, " "));
        Assert.False(MoeProbeResult.Unsupported(MoeReason.NoDevice, "no GPU").IsSupported);
        Assert.True(MoeProbeResult.Supported(MoeDevice.Cpu, "cpu", 0).IsSupported);
    }
}
