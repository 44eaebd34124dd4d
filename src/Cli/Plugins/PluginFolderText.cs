using System.Text.Json;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>What a person should know of a plugin before trusting it.</summary>
internal static class PluginFolderText
{
    private const int ShownHashLength = 16;

    public static void Write(MoePluginFolder folder, IAnsiConsole console)
    {
        console.Say($"[bold]{folder.Id}[/] {folder.Version}, contract {folder.ContractVersion}, {HumanText.Count(folder.Files.Count, "file")}, {HumanText.Bytes(folder.ByteCount)}");
        console.Say($"  from {folder.Path}");
        foreach ((string path, string sha256) in folder.Files.OrderBy(static file => file.Key, StringComparer.Ordinal))
        {
            console.Say($"  {sha256[..ShownHashLength]}  {path}");
        }

        WriteList(console, "native libraries", folder.NativeLibraries);
        WriteList(console, "imports", folder.Imports);
        WriteList(console, "code that runs at first use (module initializers)", folder.ModuleInitializers);
        console.WriteLine("A trusted plugin may do anything that the host's user may.");
    }

    public static void WriteJson(Utf8JsonWriter writer, MoePluginFolder folder)
    {
        writer.WriteString("id", folder.Id);
        writer.WriteString("version", folder.Version);
        writer.WriteString("contract_version", folder.ContractVersion);
        writer.WriteString("path", folder.Path);
        writer.WriteNumber("bytes", folder.ByteCount);
        writer.WriteStartObject("files");
        foreach ((string path, string sha256) in folder.Files.OrderBy(static file => file.Key, StringComparer.Ordinal))
        {
            writer.WriteString(path, sha256);
        }

        writer.WriteEndObject();
        writer.WriteStrings("native_libraries", folder.NativeLibraries);
        writer.WriteStrings("imports", folder.Imports);
        writer.WriteStrings("module_initializers", folder.ModuleInitializers);
    }

    private static void WriteList(IAnsiConsole console, string what, IReadOnlyList<string> entries)
    {
        console.WriteLine($"  {what}:{(entries.Count == 0 ? " none" : "")}");
        foreach (string entry in entries)
        {
            console.Say($"    {entry}");
        }
    }
}
