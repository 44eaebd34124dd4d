using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Bf16.Tests;

[Collection(Alone.Name)]
public sealed class ConformanceTests : BackendConformanceTests
{
    protected override IMoeBackend CreateBackend() => PlacedPlugin.CreateBackend("Bf16", Context);
}
