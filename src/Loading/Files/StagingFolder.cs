namespace Moe.Plugins;

/// <summary>Where private copies and verdicts are kept.</summary>
internal static class StagingFolder
{
    /// <summary>What the options say, or else <c>plugins</c> in the user's cache folder. Compiled kernels are kept beside it.</summary>
    /// <exception cref="MoeException">The options say nothing, and the user has no such folder.</exception>
    public static string Of(MoeOptions options) => options.StagingFolder ?? UserCache.FolderOf("plugins") ?? throw new MoeException(
        MoeReason.Configuration,
        $"This user has no home folder for the plugins' private copies: set {options.PathOf(nameof(MoeOptions.StagingFolder))}.");
}
