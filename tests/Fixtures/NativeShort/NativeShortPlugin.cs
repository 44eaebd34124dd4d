using System.Runtime.InteropServices;
using Moe.Plugins;

[assembly: MoePlugin("NativeShort", typeof(Fixtures.NativeShortPlugin))]

namespace Fixtures;

public sealed partial class NativeShortPlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FixtureBackend(() => context.Settings.ContainsKey("call") ? $"{Answer()}" : "");

    [LibraryImport("moefixture", EntryPoint = "moe_fixture_answer")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.AssemblyDirectory)]
    private static partial int Answer();
}
