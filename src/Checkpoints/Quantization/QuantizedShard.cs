using System.Buffers;
using System.Buffers.Binary;
using System.Text.Json;

namespace Moe.Plugins.Checkpoints;

/// <summary>A safetensors file of the result, known tensor by tensor before any of it is written.</summary>
/// <param name="FileName">Its name.</param>
/// <param name="Layer">The layer whose experts it has; null where it has copies of other tensors.</param>
/// <param name="Tensors">Its tensors in order.</param>
internal sealed record QuantizedShard(string FileName, CheckpointLayer? Layer, IReadOnlyList<QuantizedShard.Tensor> Tensors)
{
    /// <summary>One tensor.</summary>
    /// <param name="Name">Its name.</param>
    /// <param name="Type">Its type's name.</param>
    /// <param name="Shape">Its sizes.</param>
    /// <param name="ByteCount">Its bytes.</param>
    /// <param name="File">Where it is copied from; null where it is computed.</param>
    public sealed record Tensor(string Name, string Type, IReadOnlyList<long> Shape, long ByteCount, SafetensorsFile? File = null);

    public long ByteCount => Tensors.Sum(tensor => tensor.ByteCount);

    /// <summary>Writes what comes before the tensors' bytes.</summary>
    public void WriteHeader(Stream stream)
    {
        var json = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(json))
        {
            writer.WriteStartObject();
            writer.WriteStartObject(SafetensorsHeader.MetadataName);
            writer.WriteString("format", "pt");
            writer.WriteEndObject();
            long offset = 0;
            foreach (Tensor tensor in Tensors)
            {
                writer.WriteStartObject(tensor.Name);
                writer.WriteString("dtype", tensor.Type);
                WriteNumbers(writer, "shape", tensor.Shape);
                WriteNumbers(writer, "data_offsets", [offset, offset += tensor.ByteCount]);
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
