using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;
using System.Text;

namespace Moe.Plugins.Cuda;

/// <summary>
/// How a compiled source lies in a file: the SHA-256 of all that follows (32 bytes), then log, lowered names and cubin as
/// BinaryWriter writes strings and counted bytes. A file that does not match its own hash is as good as none.
/// </summary>
internal static class KernelCacheEntry
{
    internal static byte[] Write(KernelImage image)
    {
        using MemoryStream stream = new();
        stream.Write(stackalloc byte[SHA256.HashSizeInBytes]);
        using (BinaryWriter writer = new(stream, Encoding.UTF8, leaveOpen: true))
        {
            writer.Write(image.Log);
            writer.Write(image.LoweredNames.Count);
            foreach ((string expression, string name) in image.LoweredNames)
            {
                writer.Write(expression);
                writer.Write(name);
            }

            writer.Write(image.Cubin.Length);
            writer.Write(image.Cubin.Span);
        }

        byte[] file = stream.ToArray();
        SHA256.HashData(file.AsSpan(SHA256.HashSizeInBytes), file);
        return file;
    }

    internal static bool TryRead(byte[] file, KernelImageOrigin origin, [NotNullWhen(true)] out KernelImage? image)
    {
        image = null;
        if (file.Length <= SHA256.HashSizeInBytes
            || !SHA256.HashData(file.AsSpan(SHA256.HashSizeInBytes)).AsSpan().SequenceEqual(file.AsSpan(0, SHA256.HashSizeInBytes)))
        {
            return false;
        }

        using MemoryStream content = new(file, SHA256.HashSizeInBytes, file.Length - SHA256.HashSizeInBytes);
        using BinaryReader reader = new(content, Encoding.UTF8);
        try
        {
            string log = reader.ReadString();
            Dictionary<string, string> names = [];
            for (int left = reader.ReadInt32(); left > 0; left--)
            {
                string expression = reader.ReadString();
                names[expression] = reader.ReadString();
            }

            int length = reader.ReadInt32();
            if (length < 0 || length != content.Length - content.Position)
            {
                return false;
            }

            image = new KernelImage(reader.ReadBytes(length), log, names, origin);
            return true;
        }
        catch (Exception exception) when (exception is IOException or FormatException or ArgumentException)
        {
            // It has its own hash, and yet is nothing that this wrote.
            return false;
        }
    }
}
