using Moe.Plugins;

[assembly: MoePlugin("MissingBase", typeof(Fixtures.MissingBasePlugin))]

namespace Fixtures;

public sealed class MissingBasePlugin : Absent, IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FixtureBackend(() => Text);
}
