namespace Moe.Plugins;

/// <summary>
/// Copies a plugin's folder to a private one that is named by its content, and never loads from anywhere else. So a DLL can be replaced
/// while it is in use, no half-written file is read, and one path never means two versions of the code.
/// </summary>
internal sealed class PluginStaging
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private readonly string _root;

    public PluginStaging(string root) => _root = root;

    /// <summary>The per-user cache folder: <c>$XDG_CACHE_HOME</c> or <c>~/.cache</c> on Unix, the local application data on Windows.</summary>
    public static string DefaultRoot()
    {
        string? cache = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
        if (string.IsNullOrEmpty(cache) || !Path.IsPathRooted(cache))
        {
            string home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
            cache = OperatingSystem.IsWindows()
                ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
                : home.Length == 0 ? "" : Path.Combine(home, ".cache");
        }

        return cache.Length == 0
            ? throw new MoeException(
                MoeReason.Configuration,
                $"This user has no home folder for the plugins' private copies: set {MoeOptions.SectionName}:{nameof(MoeOptions.StagingFolder)}.")
            : Path.Combine(cache, "moe", "plugins");
    }

    /// <summary>Copies, verifies the copy, and returns its folder: <c>root/id/hash</c>.</summary>
    /// <exception cref="MoeException">The folder holds a link, changed while it was copied, or the copy cannot be written.</exception>
    public string Stage(string id, string folder)
    {
        try
        {
            CreatePrivate(_root);
            string parent = Path.Combine(_root, id);
            CreatePrivate(parent);
            string hash = ContentHash.Of(folder);
            string target = Path.Combine(parent, hash);
            if (Directory.Exists(target))
            {
                if (ContentHash.Of(target) == hash)
                {
                    return target;
                }

                // Damaged or tampered with. Moved, not deleted: another process may have it loaded.
                Directory.Move(target, Path.Combine(parent, $"damaged-{Guid.NewGuid():N}"));
            }

            string copy = Path.Combine(parent, $"copying-{Guid.NewGuid():N}");
            try
            {
                Copy(folder, copy);
                if (ContentHash.Of(copy) != hash)
                {
                    throw new MoeException(MoeReason.NotFound, $"{folder} changed while it was copied: it is being deployed, try again.");
                }

                Place(copy, target);
            }
            finally
            {
                if (Directory.Exists(copy))
                {
                    Directory.Delete(copy, recursive: true);
                }
            }

            return target;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new MoeException(MoeReason.NotFound, $"{folder} could not be copied to {_root}: {exception.Message}", exception);
        }
    }

    private static void Place(string copy, string target)
    {
        try
        {
            Directory.Move(copy, target);
        }
        catch (IOException) when (Directory.Exists(target))
        {
            // Another process staged the same content at the same time.
        }
    }

    private static void Copy(string from, string to)
    {
        CreatePrivate(to);
        foreach (string file in ContentHash.Files(from))
        {
            string destination = Path.Combine(to, file);
            CreatePrivate(Path.GetDirectoryName(destination)!);
            File.Copy(Path.Combine(from, file), destination);
        }
    }

    private static void CreatePrivate(string folder)
    {
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(folder);
            return;
        }

        Directory.CreateDirectory(folder, OwnerOnly);
        if ((File.GetUnixFileMode(folder) & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) != 0)
        {
            throw new MoeException(MoeReason.Trust, $"{folder} can be written by other users; plugins are not loaded from there.");
        }
    }
}
