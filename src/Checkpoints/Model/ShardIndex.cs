using System.Buffers;
using System.Text.Json;

namespace Moe.Plugins.Checkpoints;

/// <summary>
/// Reads <c>model.safetensors.index.json</c>: which of several files (shards) holds which tensor. Names are handed on as they are read and
/// no list of them is made: a model of 900 experts a layer has half a million.
/// </summary>
internal ref struct ShardIndex
{
    public const string FileName = "model.safetensors.index.json";

    /// <summary>Longest file that is read: four times the index of half a million tensors, at 130 bytes each.</summary>
    public const long MaxByteCount = 256L << 20;

    private const string MapName = "weight_map";

    /// <summary>Takes a tensor's name and its shard. The characters are the reader's own, and change after the call.</summary>
    public delegate void Entry(ReadOnlySpan<char> tensor, ReadOnlySpan<char> shard);

    private readonly string _path;
    private readonly Entry _entry;
    private Utf8JsonReader _reader;
    private char[] _name;
    private char[] _shard;

    private ShardIndex(string path, ReadOnlySpan<byte> json, Entry entry)
    {
        _path = path;
        _entry = entry;
        _reader = new Utf8JsonReader(json);
        _name = ArrayPool<char>.Shared.Rent(256);
        _shard = ArrayPool<char>.Shared.Rent(256);
    }

    /// <summary>Hands on each tensor's name with its shard, a plain name of a file beside the index.</summary>
    /// <exception cref="MoeException">The index is malformed, or names a file outside of its own folder.</exception>
    public static void Read(string path, Entry entry)
    {
        byte[] json = SmallFile.Read(path, MaxByteCount);
        JsonFile.Guard(path, () =>
        {
            var index = new ShardIndex(path, json, entry);
            try
            {
                index.ReadObject();
            }
            finally
            {
                ArrayPool<char>.Shared.Return(index._name);
                ArrayPool<char>.Shared.Return(index._shard);
            }

            return 0;
        });
    }

    private void ReadObject()
    {
        _reader.Read();
        if (_reader.TokenType != JsonTokenType.StartObject)
        {
            // What follows must be JSON all the same, or that is what is wrong.
            _reader.Skip();
            throw new MoeException(MoeReason.Checkpoint, $"'{PlainText.Of(_path)}' is not a JSON object.");
        }

        bool hasMap = false;
        while (IsNext(JsonTokenType.PropertyName))
        {
            bool isMap = _reader.ValueTextEquals(MapName);
            _reader.Read();
            if (!isMap)
            {
                _reader.Skip();
                continue;
            }

            if (hasMap)
            {
                throw new JsonException($"{MapName} is there twice.");
            }

            hasMap = true;
            ReadMap();
        }

        _reader.Read();
        if (!hasMap)
        {
            throw NoMap();
        }
    }

    private void ReadMap()
    {
        if (_reader.TokenType != JsonTokenType.StartObject)
        {
            throw NoMap();
        }

        while (IsNext(JsonTokenType.PropertyName))
        {
            ReadOnlySpan<char> name = Text(ref _name);
            ReadOnlySpan<char> shard = IsNext(JsonTokenType.String) ? Text(ref _shard) : default;
            if (!IsPlainFileName(shard))
            {
                throw new MoeException(
                    MoeReason.Checkpoint,
                    $"'{PlainText.Of(_path)}' places tensor '{PlainText.Of(name.ToString())}' in '{PlainText.Of(shard.ToString())}'; "
                    + "the plain name of a file beside the index is expected.");
            }

            _entry(name, shard);
        }
    }

    private readonly MoeException NoMap() =>
        new(MoeReason.Checkpoint, $"'{PlainText.Of(_path)}' has no object {MapName}, which says the file of each tensor.");

    private readonly ReadOnlySpan<char> Text(ref char[] buffer)
    {
        // No text has more characters than bytes.
        if (buffer.Length < _reader.ValueSpan.Length)
        {
            ArrayPool<char>.Shared.Return(buffer);
            buffer = ArrayPool<char>.Shared.Rent(_reader.ValueSpan.Length);
        }

        return buffer.AsSpan(0, _reader.CopyString(buffer));
    }

    private bool IsNext(JsonTokenType type)
    {
        _reader.Read();
        return _reader.TokenType == type;
    }

    /// <summary>An index comes from a download: a name in it must not lead out of the folder, on any operating system.</summary>
    private static bool IsPlainFileName(ReadOnlySpan<char> name) =>
        name.Length > 0 && name is not ("." or "..") && name.IndexOfAny("/\\:\0") < 0;
}
