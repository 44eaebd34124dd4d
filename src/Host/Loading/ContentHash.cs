using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Moe.Plugins;

/// <summary>SHA-256 over a folder: of every file's relative path, length and bytes, in ordinal order of the paths.</summary>
internal static class ContentHash
{
    /// <summary>The folder's files, relative to it, in ordinal order.</summary>
    /// <exception cref="MoeException">The folder holds a link: what it points to is not the plugin's.</exception>
    public static IReadOnlyList<string> Files(string folder)
    {
        var files = new List<string>();
        var options = new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.None };
        foreach (FileSystemInfo entry in new DirectoryInfo(folder).EnumerateFileSystemInfos("*", options))
        {
            if (entry.LinkTarget is { } target)
            {
                throw new MoeException(MoeReason.Trust, $"{entry.FullName} is a link to {target}; a plugin's folder holds plain files only.");
            }

            if (entry is FileInfo)
            {
                files.Add(Path.GetRelativePath(folder, entry.FullName).Replace('\\', '/'));
            }
        }

        files.Sort(StringComparer.Ordinal);
        return files;
    }

    public static string Of(string folder)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> length = stackalloc byte[sizeof(long)];
        byte[] buffer = new byte[1 << 16];
        foreach (string file in Files(folder))
        {
            using FileStream stream = File.OpenRead(Path.Combine(folder, file));
            hash.AppendData(Encoding.UTF8.GetBytes(file + '\0'));
            BinaryPrimitives.WriteInt64LittleEndian(length, stream.Length);
            hash.AppendData(length);
            while (stream.Read(buffer) is int read and > 0)
            {
                hash.AppendData(buffer, 0, read);
            }
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
