using System.Buffers;
using System.Buffers.Binary;
using System.Text.Json;

namespace Moe.Plugins.Checkpoints;

/// <summary>Collects tensors and writes them as a safetensors file.</summary>
public sealed class SafetensorsWriter
{
    private readonly List<(string Name, SafetensorsType Type, long[] Shape, long ByteCount, Action<Stream> Write)> _tensors = [];
    private readonly HashSet<string> _names = new(StringComparer.Ordinal);

    /// <summary>Strings to keep beside the tensors.</summary>
    public IDictionary<string, string> Metadata { get; } = new SortedDictionary<string, string>(StringComparer.Ordinal);

    /// <summary>Adds a tensor.</summary>
    /// <param name="name">Its name, unique in the file.</param>
    /// <param name="type">What one element is.</param>
    /// <param name="shape">Sizes, outermost first.</param>
    /// <param name="data">The elements, little-endian; not copied, so it must not change before <see cref="Save"/>.</param>
    /// <exception cref="ArgumentException">The name is taken or reserved, or the data has another length than the shape asks for.</exception>
    public void Add(string name, SafetensorsType type, ReadOnlySpan<long> shape, ReadOnlyMemory<byte> data)
    {
        long[] sizes = shape.ToArray();
        if (!SafetensorsLayout.TryCountBytes(type, sizes, out long byteCount) || byteCount != data.Length)
        {
            throw new ArgumentException($"'{name}' is {SafetensorsTensor.Describe(type, sizes)}; its data has {data.Length} bytes.", nameof(data));
        }

        AddStreamed(name, type, shape, stream => stream.Write(data.Span));
    }

    /// <summary>Adds a tensor that is made while it is written: it need not fit into memory.</summary>
    /// <param name="name">Its name, unique in the file.</param>
    /// <param name="type">What one element is.</param>
    /// <param name="shape">Sizes, outermost first.</param>
    /// <param name="write">Writes the elements, little-endian, as many bytes as they are; called once by <see cref="Save"/>.</param>
    /// <exception cref="ArgumentException">The name is taken or reserved, or the shape is beyond any file.</exception>
    public void AddStreamed(string name, SafetensorsType type, ReadOnlySpan<long> shape, Action<Stream> write)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(write);
        long[] sizes = shape.ToArray();
        if (!SafetensorsLayout.TryCountBytes(type, sizes, out long byteCount))
        {
            throw new ArgumentException($"'{name}' is {SafetensorsTensor.Describe(type, sizes)}, which is beyond any file.", nameof(shape));
        }

        if (name == SafetensorsHeader.MetadataName || !_names.Add(name))
        {
            throw new ArgumentException($"'{name}' is reserved, or there already.", nameof(name));
        }

        _tensors.Add((name, type, sizes, byteCount, write));
    }

    /// <summary>
    /// Writes the file under a temporary name and renames it, so that nobody ever reads half of it. A link, a pipe or a device is not
    /// replaced, but written to.
    /// </summary>
    /// <exception cref="MoeException">The file cannot be written.</exception>
    public void Save(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        WholeFile.Write(path, WriteTo);
    }

    private void WriteTo(Stream stream)
    {
        // Wide elements first keeps every tensor aligned to its element size, as the reference implementation does.
        var inOrder = _tensors.OrderByDescending(tensor => tensor.Type.Bits()).ThenBy(tensor => tensor.Name, StringComparer.Ordinal).ToArray();
        var json = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(json))
        {
            writer.WriteStartObject();
            WriteMetadata(writer);
            long offset = 0;
            foreach (var (name, type, shape, byteCount, _) in inOrder)
            {
                WriteTensor(writer, name, type, shape, offset, offset += byteCount);
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
        foreach (var tensor in inOrder)
        {
            tensor.Write(stream);
        }
    }

    private void WriteMetadata(Utf8JsonWriter writer)
    {
        if (Metadata.Count == 0)
        {
            return;
        }

        writer.WriteStartObject(SafetensorsHeader.MetadataName);
        foreach ((string key, string value) in Metadata)
        {
            writer.WriteString(key, value);
        }

        writer.WriteEndObject();
    }

    private static void WriteTensor(Utf8JsonWriter writer, string name, SafetensorsType type, long[] shape, long begin, long end)
    {
        writer.WriteStartObject(name);
        writer.WriteString("dtype", type.Name());
        writer.WriteStartArray("shape");
        foreach (long size in shape)
        {
            writer.WriteNumberValue(size);
        }

        writer.WriteEndArray();
        writer.WriteStartArray("data_offsets");
        writer.WriteNumberValue(begin);
        writer.WriteNumberValue(end);
        writer.WriteEndArray();
        writer.WriteEndObject();
    }
}
