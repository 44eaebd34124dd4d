using Moe.Plugins;

[assembly: MoePlugin("MissingCtor", typeof(Fixtures.MissingCtorPlugin))]

namespace Fixtures;

public sealed class MissingCtorPlugin : IMoePlugin
{
    private readonly string _text = new Absent().Text;

    public IMoeBackend CreateBackend(IMoePluginContext context) => new FixtureBackend(() => _text);
}
