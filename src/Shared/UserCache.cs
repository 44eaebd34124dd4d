namespace Moe.Plugins;

/// <summary>The user's own cache folder of this project, which plugins' private copies and compiled kernels are kept in.</summary>
internal static class UserCache
{
    /// <summary>
    /// A folder in <c>moe</c> in the user's cache folder: <c>$XDG_CACHE_HOME</c> or <c>~/.cache</c> on Unix, the local application data on Windows.
    /// Null where the user has neither.
    /// </summary>
    public static string? FolderOf(string name)
    {
        string? cache = OperatingSystem.IsWindows()
            ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
            : Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        if (!Path.IsPathRooted(cache))
        {
            string home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
            cache = home.Length == 0 ? null : Path.Combine(home, ".cache");
        }

        return cache is null ? null : Path.Combine(cache, "moe", name);
    }
}
