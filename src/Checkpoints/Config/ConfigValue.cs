using System.Globalization;
using System.Text.Json;

namespace Moe.Plugins.Checkpoints;

/// <summary>Something that a model states about itself.</summary>
/// <param name="Origin">Where, for messages.</param>
/// <param name="Key">Under which name.</param>
/// <param name="Text">The string, or the JSON of anything else.</param>
internal readonly record struct ConfigValue(string Origin, string Key, string Text)
{
    /// <summary>Takes a member of a JSON object; of a list that has an entry for each layer, the layer's.</summary>
    public static ConfigValue? From(string origin, string key, JsonElement value, int layer)
    {
        if (value.ValueKind == JsonValueKind.Array)
        {
            return layer >= 0 && layer < value.GetArrayLength() ? From(origin, key, value[layer], layer: -1) : null;
        }

        return value.ValueKind switch
        {
            JsonValueKind.Null or JsonValueKind.Undefined => null,
            JsonValueKind.String => new ConfigValue(origin, key, value.GetString()!),
            _ => new ConfigValue(origin, key, value.GetRawText()),
        };
    }

    public int Whole(int least) =>
        int.TryParse(Text, NumberStyles.None, CultureInfo.InvariantCulture, out int value) && value >= least
            ? value
            : throw Error($"a whole number from {least} on is expected");

    public float Positive() => Number() is > 0 and var value ? value : throw Error("a positive number is expected");

    public float NotNegative() => Number() is >= 0 and var value ? value : throw Error("0 or a positive number is expected");

    public bool Flag() => Text switch
    {
        "true" or "True" => true,
        "false" or "False" => false,
        _ => throw Error("true or false is expected"),
    };

    public override string ToString() => $"{Origin} has {Key} = {PlainText.Of(Text, 100)}";

    public MoeException Error(string expected) => new(MoeReason.Checkpoint, $"{this}; {expected}.");

    // NaN where it is none, which no comparison lets pass.
    private float Number() =>
        float.TryParse(Text, NumberStyles.Float, CultureInfo.InvariantCulture, out float value) && float.IsFinite(value) ? value : float.NaN;
}
