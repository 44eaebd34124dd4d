using System.Text.Json;

namespace Moe.Plugins;

/// <summary>
/// The lock file: which plugins the host trusts, by the SHA-256 of every file. It lies with the host, for a hash that comes with a plugin
/// says nothing about the plugin.
/// </summary>
internal sealed class PluginLock
{
    /// <summary>Longest lock file that is read.</summary>
    public const int MaxByteCount = 16 << 20;

    private const int FormatVersion = 1;

    private readonly SortedDictionary<string, PluginPin> _pins = new(StringComparer.OrdinalIgnoreCase);

    /// <summary>Reads a lock file's bytes.</summary>
    /// <exception cref="MoeException">They are no lock file.</exception>
    public static PluginLock Parse(string path, ReadOnlySpan<byte> json)
    {
        try
        {
            var result = new PluginLock();
            foreach (PluginPin pin in new PluginLockReader(path, json).Read(FormatVersion))
            {
                if (!result._pins.TryAdd(pin.Id, pin))
                {
                    throw PluginLockReader.Wrong(path, $"it pins {pin.Id} twice");
                }
            }

            return result;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // The reader reports a string that is no Unicode text as an invalid operation.
            throw PluginLockReader.Wrong(path, $"it is not valid JSON ({exception.Message})");
        }
    }

    /// <summary>Reads a lock file.</summary>
    /// <exception cref="MoeException">It is not there, cannot be read, is too long, or is no lock file.</exception>
    public static PluginLock Read(string path) => Parse(path, ReadBytes(path));

    /// <summary>A lock file's bytes.</summary>
    /// <exception cref="MoeException">It is not there, cannot be read or is too long.</exception>
    public static byte[] ReadBytes(string path) => RegularFile.ReadAllBytes(path, MaxByteCount, MoeReason.Trust);

    public PluginPin? Find(string id) => _pins.GetValueOrDefault(id);

    /// <summary>Pins a plugin, in the place of what was pinned under its id.</summary>
    public void Pin(PluginPin pin) => _pins[pin.Id] = pin;

    /// <summary>The file's bytes: the same for the same pins, so that a signature and a diff mean something.</summary>
    public byte[] ToJson()
    {
        using var bytes = new MemoryStream();
        using (var writer = new Utf8JsonWriter(bytes, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            writer.WriteStartObject();
            writer.WriteNumber("format", FormatVersion);
            writer.WriteStartArray("plugins");
            foreach (PluginPin pin in _pins.Values)
            {
                writer.WriteStartObject();
                writer.WriteString("id", pin.Id);
                writer.WriteString("version", pin.Version);
                writer.WriteStartObject("files");
                foreach ((string path, string sha256) in pin.Files.OrderBy(static file => file.Key, StringComparer.Ordinal))
                {
                    writer.WriteString(path, sha256);
                }

                writer.WriteEndObject();
                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        bytes.WriteByte((byte)'\n');
        return bytes.ToArray();
    }
}
