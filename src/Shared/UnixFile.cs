using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Moe.Plugins;

/// <summary>What Linux knows of a file or folder and .NET does not tell: its owner, its kind and how many names it has.</summary>
/// <param name="Mode">Kind and permissions, as in <c>stat(2)</c>.</param>
/// <param name="Owner">The owner's user id.</param>
/// <param name="Names">Folder entries that name it; 0 once it is deleted and still open.</param>
internal readonly partial record struct UnixFile(ushort Mode, uint Owner, uint Names)
{
    // inode(7): the kind's bits in a mode.
    private const int KindMask = 0xF000;

    public FileKind Kind => (Mode & KindMask) switch
    {
        0x8000 => FileKind.Regular,
        0x4000 => FileKind.Folder,
        0xA000 => FileKind.Link,
        0x1000 => FileKind.Pipe,
        0xC000 => FileKind.Socket,
        _ => FileKind.Device,
    };

    public bool IsRegular => Kind == FileKind.Regular;

    public UnixFileMode Permissions => (UnixFileMode)(Mode & 0xFFF);

    /// <summary>The file, or the link itself unless links are followed; null on systems other than Linux and for what is not there.</summary>
    public static UnixFile? TryGet(string path, bool followLinks = false)
    {
        const int CurrentFolder = -100;
        const int NoFollow = 0x100;
        return Stat(CurrentFolder, path, followLinks ? 0 : NoFollow);
    }

    /// <summary>An open file, or null on systems other than Linux.</summary>
    public static UnixFile? TryGet(SafeFileHandle file)
    {
        const int EmptyPath = 0x1000;
        return Stat((int)file.DangerousGetHandle(), "", EmptyPath);
    }

    /// <summary>Flags of <c>open(2)</c> that have the same number on all of Linux.</summary>
    public const int ReadOnly = 0, ReadWrite = 2, MakeIfMissing = 0x40;

    /// <summary>
    /// Opens a file on Linux without following a link and without waiting, as a pipe would; null where that fails, and
    /// <see cref="Marshal.GetLastPInvokeError"/> says why. What is open may still be anything: <see cref="TryGet(SafeFileHandle)"/> tells.
    /// </summary>
    public static SafeFileHandle? Open(string path, int flags)
    {
        // One flag's number depends on the processor (asm-generic and asm-arm64 fcntl.h).
        const int NoWaiting = 0x800;
        const int CloseOnExec = 0x80000;
        const uint OwnerWritesAllRead = 0x1A4;
        int noFollow = RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm ? 0x8000 : 0x20000;
        int descriptor = open(path, flags | NoWaiting | CloseOnExec | noFollow, OwnerWritesAllRead);
        return descriptor < 0 ? null : new SafeFileHandle(descriptor, ownsHandle: true);
    }

    /// <summary>The effective user's id.</summary>
    public static uint CurrentUser() => geteuid();

    // statx(2): unlike stat's, its struct is the same on every architecture.
    private static unsafe UnixFile? Stat(int folder, string path, int flags)
    {
        if (!OperatingSystem.IsLinux())
        {
            return null;
        }

        const uint TypeModeLinksAndOwner = 0x1 | 0x2 | 0x4 | 0x8;
        Statx found = default;
        return statx(folder, path, flags, TypeModeLinksAndOwner, &found) == 0 ? new UnixFile(found.Mode, found.Owner, found.Links) : null;
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static unsafe partial int statx(int folder, string path, int flags, uint mask, Statx* result);

    // The third argument is a variable one, which Linux passes as any other.
    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int open(string path, int flags, uint mode);

    [LibraryImport("libc")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial uint geteuid();

    // linux/stat.h, struct statx.
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct Statx
    {
        [FieldOffset(16)]
        public uint Links;

        [FieldOffset(20)]
        public uint Owner;

        [FieldOffset(28)]
        public ushort Mode;
    }
}
