namespace Moe.Plugins;

/// <summary>
/// Which plugins' folders hold something else than at the last look. Contents are compared, so every way of deploying is seen on every file
/// system.
/// </summary>
internal sealed class ContentChanges
{
    private readonly Dictionary<string, string> _lastSeen = new(StringComparer.Ordinal);

    /// <summary>Remembers what a folder held when it was reloaded; null where it could not be read.</summary>
    public void Saw(PluginFile file, PluginContent? content)
    {
        if (content is not null)
        {
            _lastSeen[file.Folder] = content.Hash;
        }
    }

    /// <summary>Whether a folder holds something else than was seen there last, or than what was loaded at the start.</summary>
    public bool HasChanged(PluginFile file, FolderPlugin? loaded)
    {
        string hash = HashOf(file);
        string? seen = _lastSeen.GetValueOrDefault(file.Folder) ?? loaded?.Source?.Hash;
        return hash.Length != 0 && hash != seen;
    }

    // What cannot be read now, because it is being written, is looked at again the next time.
    private static string HashOf(PluginFile file)
    {
        try
        {
            return PluginContent.Read(file.Folder).Hash;
        }
        catch (MoeException exception) when (exception.Reason == MoeReason.NotFound)
        {
            return "";
        }
        catch (MoeException exception)
        {
            return exception.Message;
        }
    }
}
