using System.Buffers.Binary;
using System.Text;

namespace Moe.Plugins;

/// <summary>What frames carry, as bytes: numbers little-endian, texts in UTF-8 with their length before them.</summary>
internal static class FrameText
{
    public static byte[] Join(params ReadOnlySpan<ReadOnlyMemory<byte>> parts)
    {
        int length = 0;
        foreach (ReadOnlyMemory<byte> part in parts)
        {
            length = checked(length + sizeof(int) + part.Length);
        }

        byte[] bytes = new byte[length];
        Span<byte> rest = bytes;
        foreach (ReadOnlyMemory<byte> part in parts)
        {
            BinaryPrimitives.WriteInt32LittleEndian(rest, part.Length);
            part.Span.CopyTo(rest[sizeof(int)..]);
            rest = rest[(sizeof(int) + part.Length)..];
        }

        return bytes;
    }

    /// <summary>What <see cref="Join"/> joined.</summary>
    /// <exception cref="MoeException">It is something else.</exception>
    public static ReadOnlyMemory<byte>[] Split(ReadOnlyMemory<byte> bytes, int count)
    {
        var parts = new ReadOnlyMemory<byte>[count];
        for (int i = 0; i < count; i++)
        {
            int length = bytes.Length < sizeof(int) ? -1 : BinaryPrimitives.ReadInt32LittleEndian(bytes.Span);
            if (length < 0 || length > bytes.Length - sizeof(int))
            {
                throw new MoeException(MoeReason.ContractBroken, "What came is no frame of a rendezvous.");
            }

            parts[i] = bytes.Slice(sizeof(int), length);
            bytes = bytes[(sizeof(int) + length)..];
        }

        return parts;
    }

    public static byte[] Of(string text) => Encoding.UTF8.GetBytes(text);

    public static byte[] Of(long number)
    {
        byte[] bytes = new byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, number);
        return bytes;
    }

    public static string ToText(ReadOnlyMemory<byte> bytes) => Encoding.UTF8.GetString(bytes.Span);

    /// <exception cref="MoeException">It is no number.</exception>
    public static long ToNumber(ReadOnlyMemory<byte> bytes) => bytes.Length == sizeof(long)
        ? BinaryPrimitives.ReadInt64LittleEndian(bytes.Span)
        : throw new MoeException(MoeReason.ContractBroken, "What came is no frame of a rendezvous.");

    /// <summary>Why it ended.</summary>
    public static byte[] OfEnd(MoeReason reason, string message) => Join(Of((long)reason), Of(message));

    /// <exception cref="MoeException">It is something else.</exception>
    public static MoeException ToEnd(ReadOnlyMemory<byte> bytes)
    {
        ReadOnlyMemory<byte>[] parts = Split(bytes, 2);
        return new MoeException((MoeReason)ToNumber(parts[0]), ToText(parts[1]));
    }
}
