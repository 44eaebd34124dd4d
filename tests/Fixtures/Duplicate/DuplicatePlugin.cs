using Moe.Plugins;

[assembly: MoePlugin("good", typeof(Fixtures.DuplicatePlugin))]

namespace Fixtures;

public sealed class DuplicatePlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FixtureBackend(() => "Duplicate is here");
}
