using System.Buffers;
using System.Buffers.Binary;
using System.Text.Json;

namespace Moe.Plugins.Checkpoints;

/// <summary>Writes what stands in a safetensors file before its tensors' bytes.</summary>
internal static class SafetensorsHeaderWriter
{
    /// <summary>Writes the header.</summary>
    /// <param name="stream">The file, at its start.</param>
    /// <param name="metadata">Strings to keep beside the tensors.</param>
    /// <param name="tensors">The tensors in the order in which their bytes follow.</param>
    public static void Write(
        Stream stream,
        IEnumerable<KeyValuePair<string, string>> metadata,
        IEnumerable<(string Name, string Type, IReadOnlyList<long> Shape, long ByteCount)> tensors)
    {
        var json = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(json))
        {
            writer.WriteStartObject();
            WriteMetadata(writer, [.. metadata]);
            long offset = 0;
            foreach (var (name, type, shape, byteCount) in tensors)
            {
                writer.WriteStartObject(name);
                writer.WriteString("dtype", type);
                WriteNumbers(writer, "shape", shape);
                WriteNumbers(writer, "data_offsets", [offset, offset += byteCount]);
                writer.WriteEndObject();
            }

            writer.WriteEndObject();
        }

        // Spaces after the object bring the data to a multiple of 8 bytes.
        int padding = -json.WrittenCount & 7;
        json.GetSpan(padding)[..padding].Fill((byte)' ');
        json.Advance(padding);

        Span<byte> length = stackalloc byte[SafetensorsHeader.LengthByteCount];
        BinaryPrimitives.WriteUInt64LittleEndian(length, (ulong)json.WrittenCount);
        stream.Write(length);
        stream.Write(json.WrittenSpan);
    }

    private static void WriteMetadata(Utf8JsonWriter writer, KeyValuePair<string, string>[] metadata)
    {
        if (metadata.Length == 0)
        {
            return;
        }

        writer.WriteStartObject(SafetensorsHeader.MetadataName);
        foreach ((string key, string value) in metadata)
        {
            writer.WriteString(key, value);
        }

        writer.WriteEndObject();
    }

    private static void WriteNumbers(Utf8JsonWriter writer, string name, IEnumerable<long> numbers)
    {
        writer.WriteStartArray(name);
        foreach (long number in numbers)
        {
            writer.WriteNumberValue(number);
        }

        writer.WriteEndArray();
    }
}
