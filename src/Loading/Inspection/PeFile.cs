using System.Reflection.PortableExecutable;

namespace Moe.Plugins;

/// <summary>Reads a file in the PE format, which may be anything: a stranger wrote it, or it is half copied.</summary>
internal static class PeFile
{
    /// <exception cref="BadImageFormatException">It is malformed, in whichever way the reader stumbled over it.</exception>
    public static T Read<T>(string file, Func<PEReader, T> read)
    {
        try
        {
            using FileStream stream = RegularFile.Open(file, MoeReason.Trust);
            using var image = new PEReader(stream);
            return read(image);
        }
        catch (Exception exception) when (exception
            is OverflowException or ArgumentException or InvalidOperationException or IndexOutOfRangeException or InvalidCastException or EndOfStreamException)
        {
            // The reader checks what it needs and no more; a wrong size or offset shows as one of these.
            throw new BadImageFormatException($"{file} is malformed: {exception.Message}", exception);
        }
    }
}
