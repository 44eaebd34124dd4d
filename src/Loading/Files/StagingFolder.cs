namespace Moe.Plugins;

/// <summary>Where private copies and verdicts are kept.</summary>
internal static class StagingFolder
{
    /// <summary>
    /// What the options say, or else <c>moe/plugins</c> in the user's cache folder: <c>$XDG_CACHE_HOME</c> or <c>~/.cache</c> on Unix, the local
    /// application data on Windows. Compiled kernels are kept beside it, in <c>moe/kernels</c>.
    /// </summary>
    /// <exception cref="MoeException">The options say nothing, and the user has no such folder.</exception>
    public static string Of(MoeOptions options) => options.StagingFolder ?? Path.Combine(UserCache(), "moe", "plugins");

    private static string UserCache()
    {
        if (OperatingSystem.IsWindows())
        {
            return Existing(Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData));
        }

        string? cache = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        return Path.IsPathRooted(cache)
            ? cache
            : Path.Combine(Existing(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile)), ".cache");
    }

    private static string Existing(string folder) => folder.Length != 0
        ? folder
        : throw new MoeException(
            MoeReason.Configuration,
            $"This user has no home folder for the plugins' private copies: set {MoeOptions.SectionName}:{nameof(MoeOptions.StagingFolder)}.");
}
