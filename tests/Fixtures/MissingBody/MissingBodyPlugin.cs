using Moe.Plugins;

[assembly: MoePlugin("MissingBody", typeof(Fixtures.MissingBodyPlugin))]

namespace Fixtures;

public sealed class MissingBodyPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FixtureBackend(() => new Absent().Text);
}
