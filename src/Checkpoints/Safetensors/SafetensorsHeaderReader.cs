using System.Buffers.Binary;
using System.Text.Json;
using Microsoft.Win32.SafeHandles;

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

    /// <summary>Reads the header at the start of a file.</summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="handle">The file.</param>
    /// <param name="dataStart">Where its tensors begin.</param>
    /// <exception cref="MoeException">The file is something else, or its header is malformed.</exception>
    public static SafetensorsHeader Read(string path, SafeFileHandle handle, out long dataStart)
    {
        const int lengthByteCount = SafetensorsHeader.LengthByteCount;
        long fileByteCount = RandomAccess.GetLength(handle);
        Span<byte> start = stackalloc byte[OtherFormat.LongestMark];
        start = start[..ModelFile.Read(handle, start, 0)];
        if (start.Length < lengthByteCount)
        {
            throw Refuse(path, start, $"it has {fileByteCount} bytes, and the header's length alone takes {lengthByteCount}");
        }

        ulong headerByteCount = BinaryPrimitives.ReadUInt64LittleEndian(start);
        if (headerByteCount > SafetensorsHeader.MaxByteCount)
        {
            throw Refuse(path, start, $"it starts with a header length of {headerByteCount}; at most {SafetensorsHeader.MaxByteCount} is expected");
        }

        dataStart = lengthByteCount + (long)headerByteCount;
        if (dataStart > fileByteCount)
        {
            throw Refuse(
                path, start, $"its header should take {headerByteCount} bytes, and only {fileByteCount - lengthByteCount} follow: it is cut short");
        }

        byte[] json = new byte[headerByteCount];
        int read = ModelFile.Read(handle, json, lengthByteCount);
        return Read(path, json.AsSpan(0, read), fileByteCount - dataStart);
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
                $"'{PlainText.Of(path)}' is no safetensors file: its header is not valid JSON ({PlainText.Of(exception.Message)})",
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
                throw Error($"{SafetensorsHeader.MetadataName} '{PlainText.Of(key)}' is not a string");
            }

            if (!_metadata.TryAdd(key, _reader.GetString()!))
            {
                throw Error($"{SafetensorsHeader.MetadataName} has '{PlainText.Of(key)}' twice");
            }
        }
    }

    private void ReadTensor(string name)
    {
        if (!IsNext(JsonTokenType.StartObject))
        {
            throw Error($"tensor '{PlainText.Of(name)}' is not described by an object");
        }

        SafetensorsType? type = null;
        string? unknown = null;
        long[]? shape = null;
        long[]? range = null;
        while (IsNext(JsonTokenType.PropertyName))
        {
            // Compared as bytes: a string for each key of each tensor would be most of what a header costs.
            if (_reader.ValueTextEquals("dtype"u8))
            {
                type = type is null ? ReadType(name, out unknown) : throw Twice(name, "dtype");
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

        SafetensorsTensor tensor = SafetensorsLayout.CreateTensor(_path, name, type, unknown, shape, range);
        if (!_tensors.TryAdd(name, tensor))
        {
            throw Error($"tensor '{PlainText.Of(name)}' is described twice");
        }
    }

    private SafetensorsType ReadType(string name, out string? unknown)
    {
        if (!IsNext(JsonTokenType.String))
        {
            throw Error($"tensor '{PlainText.Of(name)}' has a dtype that is not a string");
        }

        // A type of tomorrow is no fault of the tensors that somebody needs today.
        string text = _reader.GetString()!;
        bool isKnown = SafetensorsTypes.TryParse(text, out SafetensorsType type);
        unknown = isKnown ? null : text;
        return isKnown ? type : SafetensorsType.Unknown;
    }

    private long[] ReadSizes(string name, string key)
    {
        if (!IsNext(JsonTokenType.StartArray))
        {
            throw Error($"tensor '{PlainText.Of(name)}' has a {key} that is not an array");
        }

        _sizes.Clear();
        while (_reader.Read() && _reader.TokenType != JsonTokenType.EndArray)
        {
            if (_reader.TokenType != JsonTokenType.Number || !_reader.TryGetInt64(out long size) || size < 0)
            {
                throw Error($"tensor '{PlainText.Of(name)}' has a {key} with something else than a whole number from 0 to {long.MaxValue}");
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

    private static MoeException Refuse(string path, ReadOnlySpan<byte> start, string what) =>
        SafetensorsLayout.Error(path, OtherFormat.Recognize(start) is string format ? format : what);

    private readonly MoeException Twice(string name, string key) => Error($"tensor '{PlainText.Of(name)}' has {key} twice");

    private readonly MoeException Error(string what) => SafetensorsLayout.Error(_path, what);
}
