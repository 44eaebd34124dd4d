using Moe.Plugins;

[assembly: MoePlugin("SideOne", typeof(Fixtures.SideOnePlugin))]

namespace Fixtures;

public sealed class SideOnePlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FixtureBackend(() => DependencyText.Text, score: 11);
}
