namespace Moe.Plugins;

/// <summary>A folder in which only the user may write.</summary>
internal static class PrivateFolder
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    /// <summary>Makes a folder, or checks one that is there.</summary>
    /// <exception cref="MoeException">It is there, and is no folder, is another user's, or others may write in it.</exception>
    /// <exception cref="IOException">It cannot be made.</exception>
    /// <exception cref="UnauthorizedAccessException">The user may not make it.</exception>
    public static void Create(string folder)
    {
        FileKind own = FileKinds.Of(folder, followLinks: false);
        FileKind kind = own == FileKind.Link ? FileKinds.Of(folder, followLinks: true) : own;
        if (own != FileKind.Nothing && kind != FileKind.Folder)
        {
            string what = kind == FileKind.Nothing ? "a link that leads nowhere" : kind.Describe();
            throw new MoeException(MoeReason.NotFound, $"{PlainText.Of(folder)} is {what}, and a folder is expected. Remove it, and the folder is made.");
        }

        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(folder);
            return;
        }

        if (!Directory.Exists(folder))
        {
            Directory.CreateDirectory(folder, OwnerOnly);
        }

        WriteAccess.Check(folder);
    }
}
