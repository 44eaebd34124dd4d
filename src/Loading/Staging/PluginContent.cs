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
            return ReadFiles(folder);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new MoeException(MoeReason.NotFound, $"{folder} cannot be read: {exception.Message}", exception);
        }
    }

    private static PluginContent ReadFiles(string folder)
    {
        var files = new SortedDictionary<string, string>(StringComparer.Ordinal);
        long byteCount = 0;
        foreach (FileInfo file in Enumerate(folder))
        {
            // Also what grew after it was listed counts.
            using FileStream stream = file.OpenRead();
            byteCount += stream.Length;
            if (byteCount > MaxByteCount)
            {
                throw new MoeException(MoeReason.Trust, $"{folder} holds more than {MaxByteCount >> 30} GiB; that is no plugin.");
            }

            files.Add(Path.GetRelativePath(folder, file.FullName).Replace('\\', '/'), Convert.ToHexStringLower(SHA256.HashData(stream)));
        }

        return new PluginContent(files, byteCount);
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
                throw new MoeException(MoeReason.Trust, $"{entry.FullName} is a link to {target}; a plugin's folder holds plain files only.");
            }

            if (entry is not FileInfo file)
            {
                continue;
            }

            // Opening a pipe would wait for whoever writes it.
            if (UnixFile.TryGet(file.FullName) is { IsRegular: false })
            {
                throw new MoeException(MoeReason.Trust, $"{file.FullName} is no regular file; a plugin's folder holds plain files only.");
            }

            files.Add(file);
            if (files.Count > MaxFileCount)
            {
                throw new MoeException(MoeReason.Trust, $"{folder} holds more than {MaxFileCount} files; that is no plugin.");
            }
        }

        return files;
    }
}
