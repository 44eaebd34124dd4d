using System.Runtime.InteropServices;
using Moe.Plugins;

[assembly: MoePlugin("NativeFile", typeof(Fixtures.NativeFilePlugin))]

namespace Fixtures;

public sealed partial class NativeFilePlugin : IMoePlugin
{
    public IMoeBackend CreateBackend(IMoePluginContext context) => new FixtureBackend(() => context.Settings.ContainsKey("call") ? $"{Answer()}" : "");

    [LibraryImport("libmoefixture.so", EntryPoint = "moe_fixture_answer")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.AssemblyDirectory)]
    private static partial int Answer();
}
