using Moe.Plugins;

[assembly: MoePlugin("HangingProbe", typeof(Fixtures.HangingProbePlugin))]

namespace Fixtures;

public sealed class HangingProbePlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FixtureBackend(() =>
    {
        Thread.Sleep(Timeout.Infinite);
        return "";
    });
}
