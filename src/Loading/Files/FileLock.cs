using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Moe.Plugins;

/// <summary>
/// A lock that other processes see, and that the system lets go when its process ends, however it does: an open file, which on Unix is an
/// advisory <c>flock(2)</c> and on Windows a sharing mode.
/// </summary>
internal sealed partial class FileLock : IDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(10);

    private const int LongestName = 100;

    private readonly string _path;
    private readonly FileStream _file;

    private FileLock(string path, FileStream file)
    {
        _path = path;
        _file = file;
    }

    /// <summary>Takes the lock as one of many, and makes the file if there is none; null where somebody has it alone.</summary>
    public static FileLock? TryShare(string path) => TryOpen(path, FileMode.OpenOrCreate, FileAccess.Read, FileShare.Read);

    /// <summary>Takes the lock alone, and makes the file if there is none; null where anybody has it.</summary>
    public static FileLock? TryTake(string path) => TryOpen(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);

    /// <summary>Takes the lock of a file that is there alone; null where anybody has it, and where the file is gone.</summary>
    public static FileLock? TryTakeExisting(string path) => TryOpen(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None);

    /// <summary>Waits for the lock, and leaves this process's name in the file for others who wait.</summary>
    /// <exception cref="MoeException">
    /// What stands there is no file of this user's, or another process has kept it for all of <paramref name="patience"/>; the message says which.
    /// </exception>
    /// <exception cref="IOException">The file cannot be made.</exception>
    /// <exception cref="UnauthorizedAccessException">The user may not write it.</exception>
    public static FileLock Take(string path, TimeSpan patience)
    {
        long end = Environment.TickCount64 + (long)patience.TotalMilliseconds;
        while (true)
        {
            if (TryTake(path) is { } taken)
            {
                taken.Sign();
                return taken;
            }

            if (Environment.TickCount64 > end)
            {
                throw new MoeException(
                    MoeReason.TimedOut, $"{HolderOf(path)} has kept {path} locked for {patience.TotalSeconds:0} s. End it, or try again.");
            }

            Thread.Sleep(Pause);
        }
    }

    /// <summary>Whether a failure means that a file or folder cannot be written by this user, or by anybody.</summary>
    public static bool IsUnwritable(Exception exception)
    {
        // errno(3) of a read-only file system, the same on Linux and macOS; .NET has no exception of its own for it.
        const int ReadOnlyFileSystem = 30;
        return exception is UnauthorizedAccessException || (exception is IOException && exception.HResult == ReadOnlyFileSystem);
    }

    /// <summary>
    /// Lets the lock go, and takes the file away where that is safe: where whoever has opened it already can see that it is gone. Windows does not
    /// let an open file be deleted, and there it stays.
    /// </summary>
    public void Remove()
    {
        if (OperatingSystem.IsLinux())
        {
            File.Delete(_path);
        }

        Dispose();
    }

    public void Dispose() => _file.Dispose();

    private static FileLock? TryOpen(string path, FileMode mode, FileAccess access, FileShare share)
    {
        while (true)
        {
            FileStream file;
            try
            {
                file = OperatingSystem.IsLinux() ? OpenOwn(path, mode, access, share) : new FileStream(path, mode, access, share, bufferSize: 0);
            }
            catch (FileNotFoundException) when (mode == FileMode.Open)
            {
                return null;
            }
            catch (IOException exception) when (SharingViolation.Is(exception))
            {
                return null;
            }

            // Whoever had the lock may have deleted the file before it let go: the lock is then of a file that nobody else will ever open.
            if (UnixFile.TryGet(file.SafeFileHandle) is not { Names: 0 })
            {
                return new FileLock(path, file);
            }

            file.Dispose();
        }
    }

    /// <summary>
    /// Opens a file of this user's, or of root's, under its only name. In a folder where others may make files, their link, pipe or second name of
    /// one of this user's files could stand there, and what the holder writes into a lock would go where they please.
    /// </summary>
    private static FileStream OpenOwn(string path, FileMode mode, FileAccess access, FileShare share)
    {
        int flags = (access == FileAccess.Read ? UnixFile.ReadOnly : UnixFile.ReadWrite) | (mode == FileMode.Open ? 0 : UnixFile.MakeIfMissing);
        SafeFileHandle? handle = UnixFile.Open(path, flags);
        if (handle is null)
        {
            throw Failure(path, Marshal.GetLastPInvokeError());
        }

        try
        {
            if (DescribeWrong(UnixFile.TryGet(handle)!.Value) is { } wrong)
            {
                throw NoLock(path, wrong);
            }

            // flock(2): LOCK_SH or LOCK_EX, with LOCK_NB, as .NET takes it.
            const int NoWaiting = 4;
            return flock(handle, (share == FileShare.None ? 2 : 1) | NoWaiting) == 0
                ? new FileStream(handle, access, bufferSize: 0)
                : throw Failure(path, Marshal.GetLastPInvokeError());
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    private static string? DescribeWrong(UnixFile file) => !file.IsRegular ? $"is {file.Kind.Describe()}"
        : file.Owner != 0 && file.Owner != UnixFile.CurrentUser() ? $"belongs to user {file.Owner}"
        : file.Names > 1 ? $"has {file.Names} names"
        : null;

    // errno(3), on all of Linux.
    private static Exception Failure(string path, int error)
    {
        const int NotPermitted = 1, NotThere = 2, NoAccess = 13, IsFolder = 21, Circle = 40;
        return error switch
        {
            // In a folder with the sticky bit, Linux denies what another user made before it looks at what that is.
            NotPermitted or NoAccess when UnixFile.TryGet(path) is { } there && DescribeWrong(there) is { } wrong => NoLock(path, wrong),
            NotPermitted or NoAccess => new UnauthorizedAccessException($"Access to the path '{path}' is denied."),
            NotThere => new FileNotFoundException($"Could not find '{path}'.", path),
            Circle => NoLock(path, "is a link"),
            IsFolder => NoLock(path, "is a folder"),
            _ => new IOException($"{Marshal.GetPInvokeErrorMessage(error)}: '{path}'.", error),
        };
    }

    private static MoeException NoLock(string path, string what) =>
        new(MoeReason.Trust, $"{path} {what}; a file of user {UnixFile.CurrentUser()} under one name is expected, which processes lock. Take it away.");

    [LibraryImport("libc", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int flock(SafeFileHandle file, int operation);

    private void Sign()
    {
        string name = string.Create(CultureInfo.InvariantCulture, $"process {Environment.ProcessId} ({Path.GetFileName(Environment.ProcessPath)})");
        _file.SetLength(0);
        _file.Write(Encoding.UTF8.GetBytes(name));
        _file.Flush();
    }

    private static string HolderOf(string path)
    {
        try
        {
            // Read without a lock of its own, which only Linux lets it.
            string name = OperatingSystem.IsLinux() ? Encoding.UTF8.GetString(RegularFile.ReadAllBytes(path, LongestName, MoeReason.TimedOut)) : "";
            return name.StartsWith("process ", StringComparison.Ordinal) ? char.ToUpperInvariant(name[0]) + name[1..] : "Another process";
        }
        catch (MoeException)
        {
            return "Another process";
        }
    }
}
