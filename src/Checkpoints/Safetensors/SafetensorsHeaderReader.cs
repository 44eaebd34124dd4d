using System.Text.Json;

namespace Moe.Plugins.Checkpoints;

/// <summary>
/// Parses a header (safetensors README, "Format") and refuses whatever the format does not allow. It reads tokens, not objects, so
/// that a header of many thousand tensors opens at the speed of the parser.
/// </summary>
internal ref struct SafetensorsHeaderReader
{
    /// <summary>Bytes of a tensor's entry in the headers of today's models, about.</summary>
    private const int UsualEntryBytes = 128;

    private readonly string _path;
    private readonly long _dataByteCount;
    private readonly Dictionary<string, SafetensorsTensor> _tensors;
    private readonly List<long> _sizes = [];
    private Dictionary<string, string>? _metadata;
    private Utf8JsonReader _reader;

    private SafetensorsHeaderReader(string path, ReadOnlySpan<byte> json, long dataByteCount)
    {
        _path = path;
        _dataByteCount = dataByteCount;
        _tensors = new Dictionary<string, SafetensorsTensor>(json.Length / UsualEntryBytes, StringComparer.Ordinal);
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

    private string? NextName() => IsNext(JsonTokenType.PropertyName) ? _reader.GetString() : null;

    private void ReadMetadata()
    {
        if (_metadata is not null)
        {
            throw Error($"its header has {SafetensorsHeader.MetadataName} twice");
        }

        if (!IsNext(JsonTokenType.StartObject))
        {
            throw Error($"{SafetensorsHeader.MetadataName} is not an object");
        }

        _metadata = new Dictionary<string, string>(StringComparer.Ordinal);
        while (NextName() is string key)
        {
            if (!IsNext(JsonTokenType.String))
            {
                throw Error($"{SafetensorsHeader.MetadataName} '{key}' is not a string");
            }

            if (!_metadata.TryAdd(key, _reader.GetString()!))
            {
                throw Error($"{SafetensorsHeader.MetadataName} has '{key}' twice");
            }
        }
    }

    private void ReadTensor(string name)
    {
        if (!IsNext(JsonTokenType.StartObject))
        {
            throw Error($"tensor '{name}' is not described by an object");
        }

        SafetensorsType? type = null;
        long[]? shape = null;
        long[]? range = null;
        while (IsNext(JsonTokenType.PropertyName))
        {
            // Compared as bytes: a string for each key of each tensor would be most of what a header costs.
            if (_reader.ValueTextEquals("dtype"u8))
            {
                type = type is null ? ReadType(name) : throw Twice(name, "dtype");
            }
            else if (_reader.ValueTextEquals("shape"u8))
            {
                shape = shape is null ? ReadSizes(name, "shape") : throw Twice(name, "shape");
            }
            else if (_reader.ValueTextEquals("data_offsets"u8))
            {
                range = range is null ? ReadSizes(name, "data_offsets") : throw Twice(name, "data_offsets");
            }
            else
            {
                _reader.Read();
                _reader.Skip();
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
        if (!IsNext(JsonTokenType.String))
        {
            throw Error($"tensor '{name}' has a dtype that is not a string");
        }

        string text = _reader.GetString()!;
        return SafetensorsTypes.TryParse(text, out SafetensorsType type)
            ? type
            : throw Error($"tensor '{name}' has the dtype '{text}', which safetensors does not know");
    }

    private long[] ReadSizes(string name, string key)
    {
        if (!IsNext(JsonTokenType.StartArray))
        {
            throw Error($"tensor '{name}' has a {key} that is not an array");
        }

        _sizes.Clear();
        while (_reader.Read() && _reader.TokenType != JsonTokenType.EndArray)
        {
            if (_reader.TokenType != JsonTokenType.Number || !_reader.TryGetInt64(out long size) || size < 0)
            {
                throw Error($"tensor '{name}' has a {key} with something else than a whole number from 0 to {long.MaxValue}");
            }

            _sizes.Add(size);
        }

        return [.. _sizes];
    }

    private bool IsNext(JsonTokenType type)
    {
        _reader.Read();
        return _reader.TokenType == type;
    }

    private readonly MoeException Twice(string name, string key) => Error($"tensor '{name}' has {key} twice");

    private readonly MoeException Error(string what) => SafetensorsLayout.Error(_path, what);
}
