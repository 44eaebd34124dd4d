namespace Moe.Plugins;

/// <summary>Whether a folder of plugins can be looked into.</summary>
internal static class PluginFolderState
{
    /// <summary>What is wrong with it, such as "is not there"; null where nothing is.</summary>
    public static string? Describe(string folder)
    {
        if (!Path.Exists(folder))
        {
            return "is not there";
        }

        if (!Directory.Exists(folder))
        {
            return "is not a folder";
        }

        try
        {
            using IEnumerator<string> entries = Directory.EnumerateFileSystemEntries(folder).GetEnumerator();
            entries.MoveNext();
            return null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return $"cannot be read: {exception.Message.TrimEnd('.')}";
        }
    }
}
