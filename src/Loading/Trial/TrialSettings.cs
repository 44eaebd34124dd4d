using System.Text.Json;

namespace Moe.Plugins;

/// <summary>A plugin's settings on their way to the process that it is tried in. They may be secret, so a command line is no place for them.</summary>
internal static class TrialSettings
{
    // JSON as it is written here has no line breaks in it.
    private const byte End = (byte)'\n';

    public static byte[] Write(IReadOnlyDictionary<string, string> settings)
    {
        using var bytes = new MemoryStream();
        using (var writer = new Utf8JsonWriter(bytes))
        {
            writer.WriteStartObject();
            foreach ((string key, string value) in settings)
            {
                writer.WriteString(key, value);
            }

            writer.WriteEndObject();
        }

        bytes.WriteByte(End);
        return bytes.ToArray();
    }

    /// <summary>Reads one line, and leaves the stream open.</summary>
    public static IReadOnlyDictionary<string, string> Read(Stream input)
    {
        using var line = new MemoryStream();
        for (int next = input.ReadByte(); next is not (End or < 0); next = input.ReadByte())
        {
            line.WriteByte((byte)next);
        }

        using var document = JsonDocument.Parse(line.ToArray());
        return document.RootElement.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetString()!, StringComparer.OrdinalIgnoreCase);
    }
}
