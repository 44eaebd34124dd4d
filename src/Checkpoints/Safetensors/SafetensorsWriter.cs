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
    /// <exception cref="ArgumentException">The name is blank, taken or reserved, the type is undefined, or the data has another length than the shape asks for.</exception>
    public void Add(string name, SafetensorsType type, ReadOnlySpan<long> shape, ReadOnlyMemory<byte> data)
    {
        Check(name, type);
        long[] sizes = shape.ToArray();
        if (!SafetensorsLayout.TryCountBytes(type, sizes, out long byteCount) || byteCount != data.Length)
        {
            throw new ArgumentException($"'{name}' is {SafetensorsTensor.Describe(type.Name(), sizes)}; its data has {data.Length} bytes.", nameof(data));
        }

        AddStreamed(name, type, shape, stream => stream.Write(data.Span));
    }

    /// <summary>Adds a tensor that is made while it is written: it need not fit into memory.</summary>
    /// <param name="name">Its name, unique in the file.</param>
    /// <param name="type">What one element is.</param>
    /// <param name="shape">Sizes, outermost first.</param>
    /// <param name="write">Writes the elements, little-endian, as many bytes as they are; called once by <see cref="Save"/>.</param>
    /// <exception cref="ArgumentException">The name is blank, taken or reserved, the type is undefined, or the shape is beyond any file.</exception>
    public void AddStreamed(string name, SafetensorsType type, ReadOnlySpan<long> shape, Action<Stream> write)
    {
        Check(name, type);
        ArgumentNullException.ThrowIfNull(write);
        long[] sizes = shape.ToArray();
        if (!SafetensorsLayout.TryCountBytes(type, sizes, out long byteCount))
        {
            throw new ArgumentException($"'{name}' is {SafetensorsTensor.Describe(type.Name(), sizes)}, which is beyond any file.", nameof(shape));
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
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        WholeFile.Write(path, WriteTo);
    }

    private static void Check(string name, SafetensorsType type)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        if (!Enum.IsDefined(type))
        {
            throw new ArgumentOutOfRangeException(nameof(type), type, $"Not one of {nameof(SafetensorsType)}.");
        }
    }

    private void WriteTo(Stream stream)
    {
        // Wide elements first keeps every tensor aligned to its element size, as the reference implementation does.
        var inOrder = _tensors.OrderByDescending(tensor => tensor.Type.Bits()).ThenBy(tensor => tensor.Name, StringComparer.Ordinal).ToArray();
        SafetensorsHeaderWriter.Write(
            stream, Metadata, inOrder.Select(tensor => (tensor.Name, tensor.Type.Name(), (IReadOnlyList<long>)tensor.Shape, tensor.ByteCount)));
        foreach (var tensor in inOrder)
        {
            tensor.Write(stream);
        }
    }
}
