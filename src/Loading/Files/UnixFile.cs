using System.Runtime.InteropServices;

namespace Moe.Plugins;

/// <summary>What Linux knows of a file or folder and .NET does not tell: its owner and its kind. Links are not followed.</summary>
/// <param name="Mode">Kind and permissions, as in <c>stat(2)</c>.</param>
/// <param name="Owner">The owner's user id.</param>
internal readonly partial record struct UnixFile(ushort Mode, uint Owner)
{
    // inode(7): the kind's bits in a mode, and one of the kinds.
    private const int KindMask = 0xF000;
    private const int Regular = 0x8000;

    public bool IsRegular => (Mode & KindMask) == Regular;

    public UnixFileMode Permissions => (UnixFileMode)(Mode & 0xFFF);

    /// <summary>The file, or null on systems other than Linux and for what is not there.</summary>
    public static unsafe UnixFile? TryGet(string path)
    {
        if (!OperatingSystem.IsLinux())
        {
            return null;
        }

        // statx(2): unlike stat's, its struct is the same on every architecture.
        const int CurrentFolder = -100;
        const int NoFollow = 0x100;
        const uint TypeModeAndOwner = 0x1 | 0x2 | 0x8;
        Statx found = default;
        return statx(CurrentFolder, path, NoFollow, TypeModeAndOwner, &found) == 0 ? new UnixFile(found.Mode, found.Owner) : null;
    }

    /// <summary>The effective user's id.</summary>
    public static uint CurrentUser() => geteuid();

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static unsafe partial int statx(int folder, string path, int flags, uint mask, Statx* result);

    [LibraryImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial uint geteuid();

    // linux/stat.h, struct statx.
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct Statx
    {
        [FieldOffset(20)]
        public uint Owner;

        [FieldOffset(28)]
        public ushort Mode;
    }
}
