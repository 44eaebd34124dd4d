using System.Buffers;
using System.Security.Cryptography;
using System.Text;

namespace Moe.Plugins;

/// <summary>What a plugin's folder holds: every file with its SHA-256, and one hash over all of them.</summary>
internal sealed class PluginContent
{
    /// <summary>Files that a plugin may have. Beyond it, a folder is something else, or made to exhaust whoever reads it.</summary>
    public const int MaxFileCount = 10_000;

    /// <summary>Bytes that a plugin may have: enough for every library of a CUDA toolkit.</summary>
    public const long MaxByteCount = 8L << 30;

    private const int BufferLength = 1 << 20;

    private PluginContent(SortedDictionary<string, string> files, long byteCount)
    {
        Files = files;
        ByteCount = byteCount;
        var list = new StringBuilder();
        foreach ((string path, string sha256) in files)
        {
            list.Append(path).Append('\0').Append(sha256).Append('\n');
        }

        Hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(list.ToString())));
    }

    /// <summary>The SHA-256 of each file, by its path within the folder, in ordinal order; slashes on every system.</summary>
    public IReadOnlyDictionary<string, string> Files { get; }

    /// <summary>Bytes of all files.</summary>
    public long ByteCount { get; }

    /// <summary>SHA-256 over the paths and hashes of all files.</summary>
    public string Hash { get; }

    /// <summary>Enough of <see cref="Hash"/> for people to tell two versions apart.</summary>
    public string ShortHash => Hash[..12];

    /// <summary>Reads a folder.</summary>
    /// <exception cref="MoeException">It cannot be read, holds a link, a device or a pipe, or more than a plugin may.</exception>
    public static PluginContent Read(string folder)
    {
        try
        {
            return ReadFiles(folder, copy: null);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new MoeException(MoeReason.NotFound, $"{PlainText.Of(folder)} cannot be read: {PlainText.Of(exception.Message)}", exception);
        }
    }

    /// <summary>
    /// Copies a folder, and hashes the very bytes that it writes: what the copy holds is what the result says, whatever the folder holds by then.
    /// The copy's files can only be read.
    /// </summary>
    /// <exception cref="MoeException">The folder holds a link, a device or a pipe, or more than a plugin may.</exception>
    /// <exception cref="IOException">It cannot be read, or the copy cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The user may not do so.</exception>
    public static PluginContent Copy(string folder, string copy) => ReadFiles(folder, copy);

    private static PluginContent ReadFiles(string folder, string? copy)
    {
        var files = new SortedDictionary<string, string>(StringComparer.Ordinal);
        long byteCount = 0;
        foreach (FileInfo file in Enumerate(folder))
        {
            string name = NameOf(folder, file);
            using FileStream stream = RegularFile.Open(file.FullName, MoeReason.Trust);

            // Also what grew after it was listed counts.
            byteCount += stream.Length;
            if (byteCount > MaxByteCount)
            {
                throw new MoeException(MoeReason.Trust, $"{PlainText.Of(folder)} holds more than {MaxByteCount >> 30} GiB; that is no plugin.");
            }

            files.Add(name, Convert.ToHexStringLower(copy is null ? SHA256.HashData(stream) : CopyFile(stream, Path.Combine(copy, name))));
        }

        return new PluginContent(files, byteCount);
    }

    private static byte[] CopyFile(FileStream from, string to)
    {
        PrivateFolder.Create(Path.GetDirectoryName(to)!);
        using var target = new FileStream(to, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferLength);
        try
        {
            for (int length = from.Read(buffer); length != 0; length = from.Read(buffer))
            {
                hash.AppendData(buffer, 0, length);
                target.Write(buffer, 0, length);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }

        if (!OperatingSystem.IsWindows())
        {
            // A program that a plugin starts has to stay one.
            File.SetUnixFileMode(target.SafeFileHandle, File.GetUnixFileMode(from.SafeFileHandle) & (UnixFileMode.UserExecute | UnixFileMode.UserRead) | UnixFileMode.UserRead);
        }

        return hash.GetHashAndReset();
    }

    // A lock file's names are those of every system: slashes part them, and nothing in them moves a terminal's cursor.
    private static string NameOf(string folder, FileInfo file)
    {
        string name = Path.GetRelativePath(folder, file.FullName);
        if (OperatingSystem.IsWindows())
        {
            name = name.Replace('\\', '/');
        }

        return name.Any(static c => char.IsControl(c) || c == '\\')
            ? throw new MoeException(
                MoeReason.Trust,
                $"{PlainText.Of(folder)} holds a file whose name has a backslash or a control character, '{PlainText.Of(name)}'; "
                + "a plugin's names have neither.")
            : name;
    }

    private static List<FileInfo> Enumerate(string folder)
    {
        var files = new List<FileInfo>();
        var options = new EnumerationOptions
        {
            RecurseSubdirectories = true,
            AttributesToSkip = FileAttributes.None,
            IgnoreInaccessible = false,
        };
        foreach (FileSystemInfo entry in new DirectoryInfo(folder).EnumerateFileSystemInfos("*", options))
        {
            if (entry.LinkTarget is { } target)
            {
                throw new MoeException(MoeReason.Trust, $"{PlainText.Of(entry.FullName)} is a link to {PlainText.Of(target)}; a plugin's folder holds plain files only.");
            }

            if (entry is not FileInfo file)
            {
                continue;
            }

            files.Add(file);
            if (files.Count > MaxFileCount)
            {
                throw new MoeException(MoeReason.Trust, $"{PlainText.Of(folder)} holds more than {MaxFileCount} files; that is no plugin.");
            }
        }

        return files;
    }
}
