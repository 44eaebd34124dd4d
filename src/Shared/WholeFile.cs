using System.Security;
using System.Text;

namespace Moe.Plugins;

/// <summary>
/// Writes files so that nobody ever finds half of one: under a temporary name in the same folder, then renamed. Only a regular file, or
/// nothing, is replaced; a link, a pipe or a device is opened and written to, as a shell does it.
/// </summary>
internal static class WholeFile
{
    /// <summary>Bytes of a file's name that common file systems hold.</summary>
    private const int LongestName = 255;

    private const string TemporaryStart = ".moe-";
    private const string TemporaryEnd = ".tmp";

    /// <summary>Letters of a <see cref="Guid"/> without dashes.</summary>
    private const int GuidLength = 32;

    /// <summary>Writes a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="write">Writes the content, from the first byte to the last.</param>
    /// <exception cref="MoeException">It cannot be written; what was there before is untouched.</exception>
    public static void Write(string path, Action<Stream> write)
    {
        FileKind kind = Require(path);
        if (kind is FileKind.Regular or FileKind.Nothing)
        {
            Replace(path, kind, write);
        }
        else
        {
            Run(path, path, () =>
            {
                using var stream = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.ReadWrite);
                write(stream);
                stream.Flush();
            });
        }
    }

    /// <summary>Writes a text as UTF-8.</summary>
    /// <exception cref="MoeException">It cannot be written; what was there before is untouched.</exception>
    public static void Write(string path, string text) => Write(path, stream => stream.Write(Encoding.UTF8.GetBytes(text)));

    /// <summary>Finds out before long work whether a file can be written after it, as far as that can be said.</summary>
    /// <exception cref="MoeException">It cannot.</exception>
    public static void Check(string path)
    {
        if (Require(path) is FileKind.Regular or FileKind.Nothing)
        {
            string temporary = TemporaryBeside(path);
            Run(path, temporary, () =>
            {
                File.Create(temporary).Dispose();
                File.Delete(temporary);
            });
        }
    }

    /// <summary>Whether a file has the name of one that is being written, or that a process left when it was ended while it wrote.</summary>
    public static bool IsUnfinished(string path)
    {
        ReadOnlySpan<char> name = Path.GetFileName(path.AsSpan());
        return name.Length == TemporaryStart.Length + GuidLength + TemporaryEnd.Length
            && name.StartsWith(TemporaryStart, StringComparison.Ordinal)
            && name.EndsWith(TemporaryEnd, StringComparison.Ordinal)
            && Guid.TryParseExact(name.Slice(TemporaryStart.Length, GuidLength), "N", out _);
    }

    private static void Replace(string path, FileKind kind, Action<Stream> write)
    {
        string temporary = TemporaryBeside(path);
        try
        {
            Run(path, temporary, () =>
            {
                using (FileStream stream = Create(temporary))
                {
                    // Who may read the old file may read the new one, and nobody else.
                    if (kind == FileKind.Regular && !OperatingSystem.IsWindows())
                    {
                        File.SetUnixFileMode(stream.SafeFileHandle, File.GetUnixFileMode(path));
                    }

                    write(stream);
                    stream.Flush(flushToDisk: true);
                }

                File.Move(temporary, path, overwrite: true);
            });
        }
        catch
        {
            TryDelete(temporary);
            throw;
        }
    }

    // Others may read what is new as far as the user's umask says, and never write it, whatever the umask says: it may be what decides on trust.
    private static FileStream Create(string path)
    {
        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.ReadWrite, Share = FileShare.None };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;
        }

        return new FileStream(path, options);
    }

    private static FileKind Require(string path)
    {
        if (string.IsNullOrWhiteSpace(path) || path.Contains('\0'))
        {
            throw CannotWrite(path, "the name of a file is expected");
        }

        if (Encoding.UTF8.GetByteCount(Path.GetFileName(path)) > LongestName)
        {
            throw CannotWrite(path, $"its name is too long; at most {LongestName} bytes are expected");
        }

        FileKind kind = FileKinds.Of(path, followLinks: false);
        string? folder = Path.GetDirectoryName(Path.GetFullPath(path));
        return kind switch
        {
            FileKind.Folder or FileKind.Socket => throw CannotWrite(path, $"it is {kind.Describe()}"),
            FileKind.Regular when new FileInfo(path).IsReadOnly => throw CannotWrite(path, "it is read-only"),
            FileKind.Nothing when folder is null || Path.EndsInDirectorySeparator(path) => throw CannotWrite(path, "it is a folder"),
            FileKind.Nothing when !Directory.Exists(folder) => throw CannotWrite(path, "its folder does not exist"),
            _ => kind,
        };
    }

    // Not made of the file's own name, which may leave no room for anything.
    private static string TemporaryBeside(string path) =>
        Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, $"{TemporaryStart}{Guid.NewGuid():N}{TemporaryEnd}");

    private static void Run(string path, string opened, Action work)
    {
        try
        {
            work();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or SecurityException or NotSupportedException)
        {
            throw CannotWrite(path, exception.Message.Replace(opened, path, StringComparison.Ordinal).TrimEnd('.'), exception);
        }
    }

    private static void TryDelete(string file)
    {
        try
        {
            File.Delete(file);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // What kept it from being written keeps it from being deleted; the first message says so.
        }
    }

    private static MoeException CannotWrite(string path, string why, Exception? inner = null) =>
        new(MoeReason.NotFound, $"'{PlainText.Of(path)}' cannot be written: {PlainText.Of(why)}.", inner);
}
