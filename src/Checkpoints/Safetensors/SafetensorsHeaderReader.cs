using System.Text.Json;

namespace Moe.Plugins.Checkpoints;

/// <summary>
/// Parses a header (safetensors README, "Format") and refuses whatever the format does not allow. It reads tokens, not objects, so
/// that a header of many thousand tensors opens at the speed of the parser.
/// </summary>
internal ref struct SafetensorsHeaderReader
{
    private readonly string _path;
    private readonly long _dataByteCount;
    private readonly Dictionary<string, SafetensorsTensor> _tensors = new(StringComparer.Ordinal);
    private Dictionary<string, string>? _metadata;
    private Utf8JsonReader _reader;

    private SafetensorsHeaderReader(string path, ReadOnlySpan<byte> json, long dataByteCount)
    {
        _path = path;
        _dataByteCount = dataByteCount;
        _reader = new Utf8JsonReader(json);
    }

    /// <summary>Reads a header.</summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="json">The header's bytes.</param>
    /// <param name="dataByteCount">Bytes of the file that follow it.</param>
    /// <exception cref="MoeException">The header is malformed, or does not describe exactly those bytes.</exception>
    public static SafetensorsHeader Read(string path, ReadOnlySpan<byte> json, long dataByteCount)
    {
        if (!json.StartsWith("{"u8))
        {
            throw SafetensorsLayout.Error(path, "its header does not begin with '{'");
        }

        var reader = new SafetensorsHeaderReader(path, json, dataByteCount);
        try
        {
            return reader.Read();
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // The reader reports a string that is no Unicode text as an invalid operation.
            throw new MoeException(
                MoeReason.Checkpoint,
                $"'{path}' is no safetensors file: its header is not valid JSON ({exception.Message})",
                exception);
        }
    }

    private SafetensorsHeader Read()
    {
        _reader.Read();
        while (NextName() is string name)
        {
            if (name == SafetensorsHeader.MetadataName)
            {
                ReadMetadata();
            }
            else
            {
                ReadTensor(name);
            }
        }

        // The reference pads headers with spaces; anything else after the object makes this read throw.
        _reader.Read();
        SafetensorsLayout.Check(_path, _tensors.Values, _dataByteCount);
        return new SafetensorsHeader(_tensors, _metadata ?? []);
    }

    private string? NextName()
    {
        _reader.Read();
        return _reader.TokenType == JsonTokenType.PropertyName ? _reader.GetString() : null;
    }

    private void ReadMetadata()
    {
        if (_metadata is not null)
        {
            throw Error($"its header has {SafetensorsHeader.MetadataName} twice");
        }

        Expect(JsonTokenType.StartObject, $"{SafetensorsHeader.MetadataName} is not an object");
        _metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        while (NextName() is string key)
        {
            Expect(JsonTokenType.String, $"{SafetensorsHeader.MetadataName} '{key}' is not a string");
            if (!_metadata.TryAdd(key, _reader.GetString()!))
            {
                throw Error($"{SafetensorsHeader.MetadataName} has '{key}' twice");
            }
        }
    }

    private void ReadTensor(string name)
    {
        Expect(JsonTokenType.StartObject, $"tensor '{name}' is not described by an object");
        SafetensorsType? type = null;
        long[]? shape = null;
        long[]? range = null;
        while (NextName() is string key)
        {
            switch (key)
            {
                case "dtype" when type is null:
                    type = ReadType(name);
                    break;
                case "shape" when shape is null:
                    shape = ReadSizes(name, key);
                    break;
                case "data_offsets" when range is null:
                    range = ReadSizes(name, key);
                    break;
                case "dtype" or "shape" or "data_offsets":
                    throw Error($"tensor '{name}' has {key} twice");
                default:
                    _reader.Read();
                    _reader.Skip();
                    break;
            }
        }

        SafetensorsTensor tensor = SafetensorsLayout.CreateTensor(_path, name, type, shape, range);
        if (!_tensors.TryAdd(name, tensor))
        {
            throw Error($"tensor '{name}' is described twice");
        }
    }

    private SafetensorsType ReadType(string name)
    {
        Expect(JsonTokenType.String, $"tensor '{name}' has a dtype that is not a string");
        string text = _reader.GetString()!;
        return SafetensorsTypes.TryParse(text, out SafetensorsType type)
            ? type
            : throw Error($"tensor '{name}' has the dtype '{text}', which safetensors does not know");
    }

    private long[] ReadSizes(string name, string key)
    {
        Expect(JsonTokenType.StartArray, $"tensor '{name}' has a {key} that is not an array");
        var sizes = new List<long>(4);
        while (_reader.Read() && _reader.TokenType != JsonTokenType.EndArray)
        {
            if (_reader.TokenType != JsonTokenType.Number || !_reader.TryGetInt64(out long size) || size < 0)
            {
                throw Error($"tensor '{name}' has a {key} with something else than a whole number from 0 to {long.MaxValue}");
            }

            sizes.Add(size);
        }

        return [.. sizes];
    }

    private void Expect(JsonTokenType type, string otherwise)
    {
        _reader.Read();
        if (_reader.TokenType != type)
        {
            throw Error(otherwise);
        }
    }

    private readonly MoeException Error(string what) => SafetensorsLayout.Error(_path, what);
}
