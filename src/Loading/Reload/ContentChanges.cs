using System.Security.Cryptography;

namespace Moe.Plugins;

/// <summary>
/// Which plugins' folders hold something else than at the last look. Contents are compared, so every way of deploying is seen on every file
/// system.
/// </summary>
internal sealed class ContentChanges
{
    private readonly Dictionary<string, string> _lastSeen = new(StringComparer.Ordinal);

    /// <summary>Remembers what a plugin's folder held when the plugin was taken from it.</summary>
    public void Saw(PluginFile file, PluginContent? content) => _lastSeen[file.Folder] = content?.Hash ?? HashOf(file);

    /// <summary>Whether a folder holds something else than was seen there last.</summary>
    public bool HasChanged(PluginFile file)
    {
        string hash = HashOf(file);
        return hash.Length != 0 && hash != _lastSeen.GetValueOrDefault(file.Folder);
    }

    // What is no plugin is told apart by why: beside plugins lie folders of data, whose gigabytes are not worth a hash.
    private static string HashOf(PluginFile file)
    {
        try
        {
            PluginInspector.Inspect(file.MainAssembly);
            return PluginContent.Read(file.Folder).Hash;
        }
        catch (MoeException exception) when (exception.InnerException is IOException or UnauthorizedAccessException)
        {
            // It is being written: it is looked at again the next time.
            return "";
        }
        catch (Exception exception) when (exception is MoeException or IOException or UnauthorizedAccessException)
        {
            return $"{exception.Message} {MainAssemblyOf(file)}";
        }
    }

    private static string MainAssemblyOf(PluginFile file)
    {
        try
        {
            using FileStream stream = RegularFile.Open(file.MainAssembly, MoeReason.NotFound);
            return Convert.ToHexStringLower(SHA256.HashData(stream));
        }
        catch (Exception exception) when (exception is MoeException or IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
