using Moe.Plugins;

[assembly: MoePlugin("ContractNewMajor", typeof(Fixtures.ContractNewMajorPlugin), "3.0")]

namespace Fixtures;

public sealed class ContractNewMajorPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FixtureBackend(() => "ContractNewMajor is here");
}
