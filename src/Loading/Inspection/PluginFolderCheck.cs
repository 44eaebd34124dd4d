using System.Reflection.Metadata;
using System.Runtime.InteropServices;

namespace Moe.Plugins;

/// <summary>
/// Refuses a folder that ships a newer copy of an assembly of the platform: the plugin would get types of its own where the host
/// means the platform's (a <c>Meter</c> that no listener of the host ever sees, say), and nothing would say so.
/// </summary>
internal static class PluginFolderCheck
{
    public static void Check(string folder)
    {
        // Empty where the program is a single file: there the platform's assemblies are no files that could be compared.
        string platform = RuntimeEnvironment.GetRuntimeDirectory();
        foreach (string file in Directory.EnumerateFiles(folder, "*.dll"))
        {
            string own = Path.Combine(platform, Path.GetFileName(file));
            if (File.Exists(own) && VersionOf(file) is { } shipped && VersionOf(own) is { } present && shipped > present)
            {
                throw new MoeException(
                    MoeReason.RuntimeVersion,
                    $"Its folder ships {Path.GetFileName(file)} {shipped}, newer than the {present} of this program's .NET: "
                    + "build it against packages of the runtime's own version.");
            }
        }
    }

    private static Version? VersionOf(string file)
    {
        try
        {
            return PeFile.Read(file, static image =>
                image.HasMetadata && image.GetMetadataReader() is { IsAssembly: true } metadata ? metadata.GetAssemblyDefinition().Version : null);
        }
        catch (BadImageFormatException)
        {
            return null;
        }
    }
}
