using Moe.Plugins;

[assembly: MoePlugin("SideTwo", typeof(Fixtures.SideTwoPlugin))]

namespace Fixtures;

public sealed class SideTwoPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FixtureBackend(() => DependencyText.Text, score: 12);
}
