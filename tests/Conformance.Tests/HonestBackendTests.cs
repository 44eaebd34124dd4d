using Moe.Plugins.Conformance.Tests.Liars;

namespace Moe.Plugins.Conformance.Tests;

/// <summary>What an author writes to inherit every test.</summary>
[Collection(Alone.Name)]
public sealed class HonestBackendTests : BackendConformanceTests
{
    protected override IMoeBackend CreateBackend() => new LyingBackend(Lie.None);
}
