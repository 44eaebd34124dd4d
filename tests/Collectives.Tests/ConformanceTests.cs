using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Collectives.Tests;

[Collection(Alone.Name)]
public sealed class ConformanceTests : BackendConformanceTests
{
    protected override IMoeBackend CreateBackend() => PlacedPlugin.CreateBackend(CollectivesHost.Id, Context);
}
