using Moe.Plugins;
using Moe.Plugins.Conformance;

namespace Contoso.MyBackend.Tests;

/// <summary>Every rule of the contract.</summary>
public sealed class BackendTests : BackendConformanceTests
{
    protected override IMoeBackend CreateBackend() => new Plugin().CreateBackend(Context);
}
