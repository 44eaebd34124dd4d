using System.Security;

namespace Moe.Plugins;

/// <summary>Reads files that fit into memory whole. What is no file is refused by its kind, without being opened: opening a pipe waits.</summary>
internal static class SmallFile
{
    /// <summary>All bytes of a file that is no longer than <paramref name="most"/>.</summary>
    /// <exception cref="MoeException">The file is longer, is not there, is no regular file, or cannot be read.</exception>
    public static byte[] Read(string path, long most)
    {
        try
        {
            FileKind kind = FileKinds.Of(Path.GetFullPath(path), followLinks: true);
            if (kind != FileKind.Regular)
            {
                throw CannotRead(path, kind == FileKind.Nothing ? "it is not there" : $"it is {kind.Describe()}; a file is expected");
            }

            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0);
            if (stream.Length > most)
            {
                throw CannotRead(path, $"it has {stream.Length} bytes; at most {most} are read");
            }

            byte[] bytes = new byte[stream.Length];
            return stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false) == bytes.Length
                ? bytes
                : throw CannotRead(path, "it was cut short meanwhile");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException or SecurityException)
        {
            throw CannotRead(path, PlainText.Of(exception.Message).TrimEnd('.'), exception);
        }
    }

    private static MoeException CannotRead(string path, string why, Exception? inner = null) =>
        new(MoeReason.NotFound, $"'{PlainText.Of(path)}' cannot be read: {why}.", inner);
}
