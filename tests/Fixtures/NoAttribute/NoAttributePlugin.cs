using Moe.Plugins;

namespace Fixtures;

public sealed class NoAttributePlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FixtureBackend(() => "NoAttribute is here");
}
