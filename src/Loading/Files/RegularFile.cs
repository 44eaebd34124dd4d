using Microsoft.Win32.SafeHandles;

namespace Moe.Plugins;

/// <summary>
/// Opens files that somebody else wrote, and nothing but files: opening a pipe waits for whoever writes it, a device does what it likes, and
/// a link leads elsewhere. What is not a regular file is refused by its kind, without being opened.
/// </summary>
internal static class RegularFile
{
    /// <summary>Opens a file for reading.</summary>
    /// <param name="path">The file.</param>
    /// <param name="reason">The reason of a refusal.</param>
    /// <exception cref="MoeException">It is a folder, a link, a pipe, a device or a socket.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">The user may not read it.</exception>
    public static FileStream Open(string path, MoeReason reason)
    {
        if (UnixFile.TryGet(path) is { } file)
        {
            Require(file, path, reason);
        }
        else if (new FileInfo(path) is { LinkTarget: { } target })
        {
            throw new MoeException(reason, $"{PlainText.Of(path)} is a link to {PlainText.Of(target)}; a regular file is expected.");
        }

        // What was a file a moment ago may be a pipe by now: it is opened without waiting, and the open file is looked at.
        SafeFileHandle? handle = OperatingSystem.IsLinux() ? OpenNow(path) : null;
        if (handle is null)
        {
            return File.OpenRead(path);
        }

        try
        {
            Require(UnixFile.TryGet(handle)!.Value, path, reason);
            return new FileStream(handle, FileAccess.Read);
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>Reads a whole file, as far as it may go.</summary>
    /// <exception cref="MoeException">It is no regular file, cannot be read, or is too long.</exception>
    public static byte[] ReadAllBytes(string path, int maxByteCount, MoeReason reason)
    {
        try
        {
            using FileStream stream = Open(path, reason);
            if (stream.Length > maxByteCount)
            {
                throw new MoeException(reason, $"{PlainText.Of(path)} has {stream.Length} bytes; at most {maxByteCount} are read.");
            }

            byte[] bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            return bytes;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new MoeException(reason, $"{PlainText.Of(path)} cannot be read: {PlainText.Of(exception.Message)}", exception);
        }
    }

    private static void Require(UnixFile file, string path, MoeReason reason)
    {
        if (!file.IsRegular)
        {
            throw new MoeException(reason, $"{PlainText.Of(path)} is {file.Kind.Describe()}; a regular file is expected.");
        }
    }

    // Null where it cannot be opened: opening it in the usual way then says why.
    private static SafeFileHandle? OpenNow(string path) => UnixFile.Open(path, UnixFile.ReadOnly);
}
