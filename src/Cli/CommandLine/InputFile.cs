namespace Moe.Plugins.Cli;

/// <summary>Reads the small files that commands are given.</summary>
internal static class InputFile
{
    /// <summary>Larger than any result, readme or list of figures.</summary>
    private const long MostBytes = 64 << 20;

    /// <summary>Reads a file whole. What is no file is refused by its kind, without opening it.</summary>
    /// <exception cref="MoeException">It is not there, is no file, is too large, or cannot be read.</exception>
    public static byte[] Read(string path)
    {
        FileKind kind = FileKinds.Of(path, followLinks: true);
        if (kind != FileKind.Regular)
        {
            throw CannotRead(path, kind == FileKind.Nothing ? "it is not there" : $"it is {kind.Describe()}; a file is expected");
        }

        try
        {
            long length = new FileInfo(path).Length;
            return length <= MostBytes
                ? File.ReadAllBytes(path)
                : throw CannotRead(path, $"it has {HumanText.Bytes(length)}; at most {HumanText.Bytes(MostBytes)} are expected");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw CannotRead(path, exception.Message.TrimEnd('.'), exception);
        }
    }

    private static MoeException CannotRead(string path, string why, Exception? inner = null) =>
        new(MoeReason.NotFound, $"'{PlainText.Of(path)}' cannot be read: {why}.", inner);
}
