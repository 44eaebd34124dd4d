using Moe.Plugins;

[assembly: MoePlugin("ThrowingCtor", typeof(Fixtures.ThrowingCtorPlugin))]

namespace Fixtures;

public sealed class ThrowingCtorPlugin : IMoePlugin
{
    public ThrowingCtorPlugin() => throw new InvalidOperationException("the constructor is broken");

    public IMoeBackend CreateBackend(IMoePluginContext context) => new FixtureBackend(() => "");
}
