using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

[Collection(Alone.Name)]
public sealed class ConformanceTests : BackendConformanceTests
{
    protected override IMoeBackend CreateBackend() => PlacedPlugin.CreateBackend("Mxfp4.Sm100", Context);
}
