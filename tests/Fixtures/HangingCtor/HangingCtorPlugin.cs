using Moe.Plugins;

[assembly: MoePlugin("HangingCtor", typeof(Fixtures.HangingCtorPlugin))]

namespace Fixtures;

public sealed class HangingCtorPlugin : IMoePlugin
{
    public HangingCtorPlugin() => Thread.Sleep(Timeout.Infinite);

    public IMoeBackend CreateBackend(IMoePluginContext context) => new FixtureBackend(() => "");
}
