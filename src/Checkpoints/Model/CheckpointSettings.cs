using System.Globalization;
using System.Text.Json;

namespace Moe.Plugins.Checkpoints;

/// <summary>Numbers that a checkpoint states about itself, in <c>config.json</c> or in a file's metadata, under the same names.</summary>
internal sealed class CheckpointSettings
{
    private readonly Dictionary<string, string> _values;

    private CheckpointSettings(string origin, Dictionary<string, string> values)
    {
        Origin = origin;
        _values = values;
    }

    /// <summary>Where the numbers are from, for messages.</summary>
    public string Origin { get; }

    /// <summary>Reads the numbers and strings at the top of a <c>config.json</c>.</summary>
    /// <exception cref="MoeException">The file cannot be read or is no JSON object.</exception>
    public static CheckpointSettings FromConfig(string path) => new($"'{path}'", CheckpointJson.Read(path, ReadValues));

    public static CheckpointSettings FromMetadata(SafetensorsFile file) =>
        new($"the metadata of '{file.Path}'", new Dictionary<string, string>(file.Metadata, StringComparer.Ordinal));

    /// <summary>Whether <paramref name="name"/> is stated as <paramref name="value"/>.</summary>
    public bool Is(string name, string value) => _values.TryGetValue(name, out string? found) && found == value;

    /// <summary>A size, or null where none of the names is stated.</summary>
    /// <exception cref="MoeException">What is stated is no size.</exception>
    public int? Size(params ReadOnlySpan<string> names)
    {
        foreach (string name in names)
        {
            if (_values.TryGetValue(name, out string? text))
            {
                return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int size) && size > 0
                    ? size
                    : throw new MoeException(MoeReason.Checkpoint, $"{Origin} has {name} = {text}; a whole number from 1 on is expected.");
            }
        }

        return null;
    }

    /// <summary>A positive factor, or null where it is not stated.</summary>
    /// <exception cref="MoeException">What is stated is no positive number.</exception>
    public float? Factor(string name)
    {
        if (!_values.TryGetValue(name, out string? text))
        {
            return null;
        }

        return float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out float value) && value > 0 && float.IsFinite(value)
            ? value
            : throw new MoeException(MoeReason.Checkpoint, $"{Origin} has {name} = {text}; a positive number is expected.");
    }

    private static Dictionary<string, string> ReadValues(JsonElement config)
    {
        var values = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (JsonProperty property in config.EnumerateObject())
        {
            if (property.Value.ValueKind is JsonValueKind.Number)
            {
                values.Add(property.Name, property.Value.GetRawText());
            }
            else if (property.Value.ValueKind is JsonValueKind.String)
            {
                values.Add(property.Name, property.Value.GetString()!);
            }
        }

        return values;
    }
}
