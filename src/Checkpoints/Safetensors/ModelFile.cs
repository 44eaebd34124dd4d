using System.Security;
using Microsoft.Win32.SafeHandles;

namespace Moe.Plugins.Checkpoints;

/// <summary>Opens a model's files: regular ones only, for opening a pipe waits, and opening a device does things.</summary>
internal static class ModelFile
{
    /// <exception cref="MoeException">The file is not there, is no regular file, or cannot be read.</exception>
    public static (string FullPath, SafeFileHandle Handle) Open(string path)
    {
        try
        {
            string fullPath = Path.GetFullPath(path);
            FileKind kind = FileKinds.Of(fullPath, followLinks: true);
            if (kind is not (FileKind.Regular or FileKind.Nothing))
            {
                throw new MoeException(MoeReason.NotFound, $"'{PlainText.Of(path)}' is {kind.Describe()}; a file is expected.");
            }

            return (fullPath, File.OpenHandle(fullPath, options: FileOptions.RandomAccess));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException or SecurityException)
        {
            throw CannotRead(path, exception);
        }
    }

    /// <summary>Reads until the span is full or the file ends.</summary>
    /// <returns>Bytes read.</returns>
    public static int Read(SafeFileHandle handle, Span<byte> destination, long offset)
    {
        int total = 0;
        while (total < destination.Length && RandomAccess.Read(handle, destination[total..], offset + total) is int read and > 0)
        {
            total += read;
        }

        return total;
    }

    /// <summary>Reads bytes of a tensor, all of them.</summary>
    /// <exception cref="MoeException">The file cannot be read, or is shorter than it was.</exception>
    public static void ReadExactly(SafeFileHandle handle, Span<byte> destination, long offset, string path, SafetensorsTensor tensor)
    {
        int read;
        try
        {
            read = Read(handle, destination, offset);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw CannotRead(path, exception);
        }

        if (read < destination.Length)
        {
            throw new MoeException(
                MoeReason.Checkpoint,
                $"Tensor '{PlainText.Of(tensor.Name)}' of '{PlainText.Of(path)}' cannot be read: {destination.Length} bytes are expected from byte {offset} of the file on, "
                + $"and {read} are there. The file was cut short after it was opened.");
        }
    }

    public static MoeException CannotRead(string path, Exception exception)
    {
        // The runtime's sentence would name the file once more.
        string why = exception is FileNotFoundException or DirectoryNotFoundException ? "it is not there." : PlainText.Of(exception.Message);
        return new(MoeReason.NotFound, $"'{PlainText.Of(path)}' cannot be read: {why}", exception);
    }
}
