using System.Text.Json;

namespace Moe.Plugins;

/// <summary>
/// Reads a lock file's JSON, and refuses all that is not as it is written. It reads tokens, not objects, so that what it allocates is
/// bounded by the file.
/// </summary>
internal ref struct PluginLockReader
{
    private const int Sha256Length = 64;

    private readonly string _path;
    private Utf8JsonReader _reader;

    public PluginLockReader(string path, ReadOnlySpan<byte> json)
    {
        _path = path;
        _reader = new Utf8JsonReader(json);
    }

    public static MoeException Wrong(string path, string how) => new(MoeReason.Trust, PlainText.OfMessage($"{path} is no lock file: {how}."));

    public List<PluginPin> Read(int expectedFormat)
    {
        List<PluginPin>? pins = null;
        bool hasFormat = false;
        Expect(JsonTokenType.StartObject, "it is not an object");
        while (NextName() is { } name)
        {
            switch (name)
            {
                case "format" when !hasFormat:
                    Expect(JsonTokenType.Number, "format is not a number");
                    hasFormat = _reader.TryGetInt32(out int format) && format == expectedFormat
                        ? true
                        : throw Wrong(_path, $"its format is not {expectedFormat}, the one that this host reads");
                    break;
                case "plugins" when pins is null:
                    pins = ReadPlugins();
                    break;
                default:
                    throw Wrong(_path, $"'{name}' is not expected there, or not twice");
            }
        }

        // Anything after the object makes this read throw.
        _reader.Read();
        return hasFormat && pins is not null ? pins : throw Wrong(_path, "format or plugins is missing");
    }

    private List<PluginPin> ReadPlugins()
    {
        var pins = new List<PluginPin>();
        Expect(JsonTokenType.StartArray, "plugins is not an array");
        while (_reader.Read() && _reader.TokenType != JsonTokenType.EndArray)
        {
            if (_reader.TokenType != JsonTokenType.StartObject)
            {
                throw Wrong(_path, "a plugin is not an object");
            }

            pins.Add(ReadPlugin());
        }

        return pins;
    }

    private PluginPin ReadPlugin()
    {
        string? id = null;
        string? version = null;
        Dictionary<string, string>? files = null;
        while (NextName() is { } name)
        {
            switch (name)
            {
                case "id" when id is null:
                    id = NextString("id");
                    break;
                case "version" when version is null:
                    version = NextString("version");
                    break;
                case "files" when files is null:
                    files = ReadFiles();
                    break;
                default:
                    throw Wrong(_path, $"a plugin's '{name}' is not expected there, or not twice");
            }
        }

        if (id is null || version is null || files is null)
        {
            throw Wrong(_path, "a plugin lacks id, version or files");
        }

        return PluginId.IsValid(id) ? new PluginPin(id, version, files) : throw Wrong(_path, $"'{id}' is no plugin's id");
    }

    private Dictionary<string, string> ReadFiles()
    {
        var files = new Dictionary<string, string>(StringComparer.Ordinal);
        Expect(JsonTokenType.StartObject, "a plugin's files are not an object");
        while (NextName() is { } path)
        {
            string sha256 = NextString("a file's hash");
            if (sha256.Length != Sha256Length || !sha256.All(static c => c is (>= '0' and <= '9') or (>= 'a' and <= 'f')))
            {
                throw Wrong(_path, $"the hash of '{path}' is not {Sha256Length} lower-case hexadecimal digits");
            }

            if (!files.TryAdd(path, sha256))
            {
                throw Wrong(_path, $"it lists '{path}' twice");
            }
        }

        return files;
    }

    private string? NextName()
    {
        _reader.Read();
        return _reader.TokenType == JsonTokenType.PropertyName ? _reader.GetString() : null;
    }

    private string NextString(string what)
    {
        Expect(JsonTokenType.String, $"{what} is not a string");
        return _reader.GetString()!;
    }

    private void Expect(JsonTokenType type, string otherwise)
    {
        if (!_reader.Read() || _reader.TokenType != type)
        {
            throw Wrong(_path, otherwise);
        }
    }
}
