using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>What somebody should know of a plugin before trusting it.</summary>
internal static class PluginFolderText
{
    private const int ShownHashLength = 16;

    public static void Write(MoePluginFolder folder, IAnsiConsole console)
    {
        console.MarkupLineInterpolated($"[bold]{folder.Id}[/] {folder.Version}, contract {folder.ContractVersion}, {HumanText.Count(folder.Files.Count, "file")}, {HumanText.Bytes(folder.ByteCount)}");
        console.WriteLine($"  from {folder.Path}");
        foreach ((string path, string sha256) in folder.Files.OrderBy(static file => file.Key, StringComparer.Ordinal))
        {
            console.WriteLine($"  {sha256[..ShownHashLength]}  {path}");
        }

        WriteList(console, "native libraries", folder.NativeLibraries);
        WriteList(console, "imports", folder.Imports);
        WriteList(console, "code at first use (module initialisers)", folder.ModuleInitializers);
        console.WriteLine("A plugin that is trusted may do anything that the host's user may.");
    }

    private static void WriteList(IAnsiConsole console, string what, IReadOnlyList<string> entries) =>
        console.WriteLine($"  {what}: {(entries.Count == 0 ? "none" : string.Join(", ", entries))}");
}
