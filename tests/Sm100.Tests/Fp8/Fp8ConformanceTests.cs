using Moe.Plugins.Conformance;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>Every rule with products on FP8 tensor cores.</summary>
[Collection(Alone.Name)]
public sealed class Fp8ConformanceTests : BackendConformanceTests
{
    protected override IMoeBackend CreateBackend() => PlacedPlugin.CreateBackend("Mxfp4.Sm100", new Fp8Context(Context));

    private sealed class Fp8Context(IMoePluginContext bare) : IMoePluginContext
    {
        public IReadOnlyDictionary<string, string> Settings { get; } = new Dictionary<string, string> { ["Fp8"] = "On" };

        public string Folder => bare.Folder;

        public IMoePluginLog Log => bare.Log;
    }
}
