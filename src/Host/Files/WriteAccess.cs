namespace Moe.Plugins;

/// <summary>
/// Refuses what another user could change: every folder on the way, and everything within, must belong to root or to the user who runs
/// the host, and be writable by nobody else. A folder with the sticky bit may be, for in it nobody can replace another's files.
/// </summary>
/// <remarks>
/// Owners are known on Linux only; on other Unix systems the permissions are checked alone. On Windows nothing is: its access lists are the
/// administrator's.
/// </remarks>
internal static class WriteAccess
{
    private const UnixFileMode Others = UnixFileMode.GroupWrite | UnixFileMode.OtherWrite;

    /// <summary>Resolves a path's links, and checks all that leads to it, the links too, from the root on.</summary>
    /// <returns>The path without links, which nobody else can make lead elsewhere.</returns>
    /// <exception cref="MoeException">Somebody else could change it.</exception>
    public static string Resolve(string path) => RealPath.Of(path, Check);

    /// <summary>Checks all that is in a folder.</summary>
    /// <exception cref="MoeException">Somebody else could change it.</exception>
    public static void CheckWithin(string folder)
    {
        var options = new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.None, IgnoreInaccessible = false };
        foreach (string entry in Directory.EnumerateFileSystemEntries(folder, "*", options))
        {
            Check(entry);
        }
    }

    /// <summary>Checks one file, folder or link.</summary>
    /// <exception cref="MoeException">Somebody else could change it.</exception>
    public static void Check(string path)
    {
        if (OperatingSystem.IsWindows())
        {
            return;
        }

        UnixFile? known = UnixFile.TryGet(path);
        UnixFileMode mode = known?.Permissions ?? (Path.Exists(path) ? File.GetUnixFileMode(path) : UnixFileMode.None);
        if (known is { } file && file.Owner != 0 && file.Owner != UnixFile.CurrentUser())
        {
            throw new MoeException(
                MoeReason.Trust,
                $"{path} belongs to user {file.Owner}; root or the user who runs the host, {UnixFile.CurrentUser()}, is expected.");
        }

        // A link has no permissions of its own.
        if (new FileInfo(path).LinkTarget is not null)
        {
            return;
        }

        bool isSticky = Directory.Exists(path) && (mode & UnixFileMode.StickyBit) != 0;
        if ((mode & Others) != 0 && !isSticky)
        {
            throw new MoeException(MoeReason.Trust, $"{path} can be written by other users (mode {Convert.ToString((int)mode, 8)}).");
        }
    }
}
