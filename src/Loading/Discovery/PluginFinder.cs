namespace Moe.Plugins;

/// <summary>Looks for plugins: every subfolder of a configured folder is one, unless it is empty.</summary>
internal static class PluginFinder
{
    /// <summary>The folders, absolute: a relative one is beside the program, never in the current folder, which anybody may choose.</summary>
    public static IReadOnlyList<string> ResolveFolders(IEnumerable<string> folders) =>
        [.. folders.Select(static folder => Path.GetFullPath(folder, AppContext.BaseDirectory)).Distinct(StringComparer.Ordinal)];

    /// <summary>The plugins in the order of the folders, then of the names: the order that decides which of two equal ids counts.</summary>
    public static IEnumerable<PluginFile> Find(IPluginSource source) =>
        from folder in source.Folders
        from plugin in SubfoldersOf(folder)
        where HoldsSomething(plugin)
        select new PluginFile(source, Path.GetFileName(plugin), plugin);

    // A folder that is not there, cannot be read or goes while it is listed has no plugins; the log and the reports say what it is.
    private static string[] SubfoldersOf(string folder)
    {
        try
        {
            return Directory.Exists(folder) ? [.. Directory.GetDirectories(folder).Order(StringComparer.Ordinal)] : [];
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    // A build that no longer places a plugin deletes its files and leaves the folder.
    private static bool HoldsSomething(string folder)
    {
        try
        {
            return Directory.EnumerateFileSystemEntries(folder).Any();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // Whoever reads it says what is wrong with it.
            return true;
        }
    }
}
