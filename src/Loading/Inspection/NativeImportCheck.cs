using System.Reflection.Metadata;
using System.Reflection.Metadata.Ecma335;
using System.Text;

namespace Moe.Plugins;

/// <summary>
/// Refuses an assembly that imports a native library of its own folder by its short name. The runtime keeps libraries that it found by
/// short name for the whole process: the second plugin to import <c>k</c> would be given the first one's. By the file's full name, or
/// as a native asset of the plugin's deps.json, each plugin gets its own.
/// </summary>
internal static class NativeImportCheck
{
    /// <summary>Longest list of dependencies that is read.</summary>
    private const int MaxDependenciesByteCount = 16 << 20;

    public static void Check(string folder)
    {
        // deps.json names the native assets that the load context finds by any name.
        string[] dependencies = [.. Directory.EnumerateFiles(folder, "*.deps.json").Select(ReadText)];
        foreach (string assembly in Directory.EnumerateFiles(folder, "*.dll"))
        {
            foreach (string import in ImportsOf(assembly, SetsResolver))
            {
                string[] files = [$"lib{import}.so", $"{import}.so", $"lib{import}.dylib", $"{import}.dylib"];
                string? file = files.FirstOrDefault(f => File.Exists(Path.Combine(folder, f)));
                if (file is not null && !dependencies.Any(text => text.Contains($"{file}\"", StringComparison.Ordinal)))
                {
                    throw new MoeException(
                        MoeReason.MissingLibrary,
                        $"{Path.GetFileName(assembly)} imports '{import}' and means its own {file}; by this name it may be given another "
                        + $"plugin's library. Import '{file}', or make it a native asset of the project (runtimes/<rid>/native).");
                }
            }
        }
    }

    /// <summary>The native libraries that an assembly imports, by the names that it imports them by.</summary>
    public static string[] ImportsOf(string assembly) => ImportsOf(assembly, static _ => false);

    private static string ReadText(string file) => Encoding.UTF8.GetString(RegularFile.ReadAllBytes(file, MaxDependenciesByteCount, MoeReason.Trust));

    private static string[] ImportsOf(string assembly, Func<MetadataReader, bool> isExempt)
    {
        try
        {
            return PeFile.Read(assembly, image =>
            {
                if (!image.HasMetadata)
                {
                    return [];
                }

                MetadataReader metadata = image.GetMetadataReader();
                return isExempt(metadata)
                    ? []
                    : (string[])[.. Enumerable.Range(1, metadata.GetTableRowCount(TableIndex.ModuleRef))
                        .Select(row => metadata.GetModuleReference(MetadataTokens.ModuleReferenceHandle(row)))
                        .Select(module => metadata.GetString(module.Name))];
            });
        }
        catch (BadImageFormatException)
        {
            return [];
        }
    }

    // An assembly that sets its own resolver finds its libraries itself, before the runtime looks anywhere.
    private static bool SetsResolver(MetadataReader metadata) => metadata.MemberReferences.Any(
        member => metadata.StringComparer.Equals(metadata.GetMemberReference(member).Name, "SetDllImportResolver"));
}
