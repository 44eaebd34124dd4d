using System.Text.Json;

namespace Moe.Plugins.Checkpoints;

/// <summary>What a model states about one layer. Whatever is read is checked: by form, and against the other places that state it.</summary>
/// <param name="model">The model's statements.</param>
/// <param name="options">What the caller knows beside.</param>
/// <param name="name">The layer, for messages.</param>
/// <param name="layer">Its number.</param>
/// <param name="has">Whether the layer has a tensor of that name, which follows the layer's own.</param>
internal sealed class LayerConfig(ModelConfig model, CheckpointOptions options, string name, int layer, Func<string, bool> has)
{
    /// <summary>The layer's number.</summary>
    public int Layer => layer;

    /// <summary>What the caller knows.</summary>
    public CheckpointOptions Options => options;

    /// <summary>Whether the layer has a tensor of that name, which follows the layer's own.</summary>
    public bool Has(string tensor) => has(tensor);

    /// <summary>Whether anything is stated under a name.</summary>
    public bool States(string key) => model.Find(layer, key).Any();

    /// <summary>A whole number; null where none of the names is stated.</summary>
    /// <exception cref="MoeException">What is stated is none, or two places differ.</exception>
    public int? Whole(int least, params string[] names) => Agreed(value => value.Whole(least), names);

    /// <summary>A positive number; null where none of the names is stated.</summary>
    /// <exception cref="MoeException">What is stated is none, or two places differ.</exception>
    public float? Factor(params string[] names) => Agreed(value => value.Positive(), names);

    /// <summary>A bound, of which 0 says that there is none; null where there is none or none of the names is stated.</summary>
    /// <exception cref="MoeException">What is stated is none, or two places differ.</exception>
    public float? Limit(params string[] names) => Agreed(value => value.NotNegative(), names) is > 0 and var limit ? limit : null;

    /// <summary>True or false; null where none of the names is stated.</summary>
    /// <exception cref="MoeException">What is stated is neither, or two places differ.</exception>
    public bool? Flag(params string[] names) => Agreed(value => value.Flag(), names);

    /// <summary>A word; null where none of the names is stated.</summary>
    /// <exception cref="MoeException">Two places differ.</exception>
    public string? Text(params string[] names)
    {
        ConfigValue? first = null;
        foreach (ConfigValue value in model.Find(layer, names))
        {
            RequireSame(first, value, first is null || first.Value.Text == value.Text);
            first ??= value;
        }

        return first?.Text;
    }

    /// <summary>The numbers of a list; null where there is none.</summary>
    public IReadOnlyList<int>? Numbers(string list) => model.List(list) is JsonElement values
        ? [.. values.EnumerateArray().Where(value => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out _)).Select(value => value.GetInt32())]
        : null;

    /// <summary>Something that the layer cannot be read without.</summary>
    public MoeException Missing(string what)
    {
        string[] origins = [.. model.Origins];
        string searched = origins.Length == 0 ? "there is no config.json and no metadata" : $"{PlainText.Shorten(string.Join(" and ", origins), 600)} lack it";
        return new MoeException(
            MoeReason.Checkpoint,
            $"Layer '{PlainText.Of(name)}' needs {what}, and {searched}; open the model's folder with its config.json, or give it in {nameof(CheckpointOptions)}.");
    }

    /// <summary>A word that this family does not know.</summary>
    public MoeException Unknown(string key, string value, string expected) => new(
        MoeReason.Checkpoint, $"Layer '{PlainText.Of(name)}' has {key} = {PlainText.Of(value, 100)}; {expected} is expected.");

    /// <summary>Holds a size that the tensors have against what is stated.</summary>
    /// <exception cref="MoeException">They differ.</exception>
    public void Check(string what, int found, params string[] names)
    {
        foreach (ConfigValue value in model.Find(layer, names))
        {
            if (value.Whole(0) != found)
            {
                throw new MoeException(
                    MoeReason.Checkpoint, $"Layer '{PlainText.Of(name)}' has {what} {found} by its tensors, and {value}.");
            }
        }
    }

    private T? Agreed<T>(Func<ConfigValue, T> parse, string[] names)
        where T : struct, IEquatable<T>
    {
        (ConfigValue Stated, T Value)? first = null;
        foreach (ConfigValue stated in model.Find(layer, names))
        {
            T value = parse(stated);
            RequireSame(first?.Stated, stated, first is null || first.Value.Value.Equals(value));
            first ??= (stated, value);
        }

        return first?.Value;
    }

    private static void RequireSame(ConfigValue? first, ConfigValue second, bool isSame)
    {
        if (!isSame)
        {
            throw new MoeException(MoeReason.Checkpoint, $"{first}, and {second}: one of them is wrong.");
        }
    }
}
