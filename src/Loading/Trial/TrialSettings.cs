using System.Text.Json;

namespace Moe.Plugins;

/// <summary>A plugin's settings on their way to the process that it is tried in. They may be secret, so a command line is no place for them.</summary>
internal static class TrialSettings
{
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

        return bytes.ToArray();
    }

    public static IReadOnlyDictionary<string, string> Read(Stream input)
    {
        using var document = JsonDocument.Parse(input);
        return document.RootElement.EnumerateObject().ToDictionary(p => p.Name, p => p.Value.GetString()!, StringComparer.OrdinalIgnoreCase);
    }
}
