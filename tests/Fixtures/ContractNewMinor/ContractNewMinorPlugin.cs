using Moe.Plugins;

[assembly: MoePlugin("ContractNewMinor", typeof(Fixtures.ContractNewMinorPlugin), "2.9")]

namespace Fixtures;

public sealed class ContractNewMinorPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FixtureBackend(() => "ContractNewMinor is here");
}
