using System.Text.Json;

namespace Moe.Plugins.Checkpoints;

/// <summary>
/// What a model states about itself: in <c>config.json</c>, where a model of several kinds of input nests an object for its language model,
/// and in the metadata of its files. Two places that differ are an error, for one of them is wrong.
/// </summary>
internal sealed class ModelConfig
{
    /// <summary>Names under which the language model's object is nested.</summary>
    private static readonly string[] Nested = ["text_config", "llm_config", "language_config", "language_model_config", "thinker_config"];

    private readonly List<(string Origin, JsonElement Values)> _objects = [];
    private readonly List<(string Origin, IReadOnlyDictionary<string, string> Values)> _metadata = [];

    /// <summary>The kinds of model that it says it is, the language model's own first.</summary>
    public IReadOnlyList<string> ModelTypes { get; private set; } = [];

    /// <summary>Where things are stated, for messages; empty where nothing is.</summary>
    public IEnumerable<string> Origins => _objects.Select(o => o.Origin).Concat(_metadata.Select(m => m.Origin));

    /// <summary>Reads a <c>config.json</c>, if there is one, and the files' metadata.</summary>
    /// <exception cref="MoeException">The file cannot be read or is no JSON object.</exception>
    public static ModelConfig Read(string? path, IEnumerable<SafetensorsFile> files)
    {
        var config = new ModelConfig();
        if (path is not null)
        {
            config.AddNested($"'{PlainText.Of(path)}'", JsonFile.Read(path));
        }

        config._metadata.AddRange(
            files.Where(file => file.Metadata.Count > 0).Select(file => ($"the metadata of '{PlainText.Of(file.Path)}'", file.Metadata)));
        config.ModelTypes = [.. config.Find(-1, "model_type").Select(value => value.Text).Distinct(StringComparer.Ordinal)];
        return config;
    }

    /// <summary>The objects of that name, the language model's first.</summary>
    public IEnumerable<(string Origin, JsonElement Value)> Objects(string name) =>
        from source in _objects
        where source.Values.TryGetProperty(name, out JsonElement value) && value.ValueKind == JsonValueKind.Object
        select (source.Origin, source.Values.GetProperty(name));

    /// <summary>A list, as it stands in the first place that has it; null where none has.</summary>
    public JsonElement? List(string name)
    {
        foreach ((_, JsonElement values) in _objects)
        {
            if (values.TryGetProperty(name, out JsonElement list) && list.ValueKind == JsonValueKind.Array)
            {
                return list;
            }
        }

        return null;
    }

    /// <summary>What is stated under any of the names, in all places.</summary>
    /// <param name="layer">The layer, for lists that have an entry for each.</param>
    /// <param name="names">The names.</param>
    public IEnumerable<ConfigValue> Find(int layer, params string[] names)
    {
        foreach ((string origin, JsonElement values) in _objects)
        {
            foreach (string name in names)
            {
                if (values.TryGetProperty(name, out JsonElement value) && ConfigValue.From(origin, name, value, layer) is ConfigValue found)
                {
                    yield return found;
                }
            }
        }

        foreach ((string origin, IReadOnlyDictionary<string, string> values) in _metadata)
        {
            foreach (string name in names)
            {
                if (values.TryGetValue(name, out string? text))
                {
                    yield return new ConfigValue(origin, name, text);
                }
            }
        }
    }

    private void AddNested(string origin, JsonElement values)
    {
        foreach (string name in Nested)
        {
            if (values.TryGetProperty(name, out JsonElement nested) && nested.ValueKind == JsonValueKind.Object)
            {
                AddNested($"{name} of {origin}", nested);
            }
        }

        _objects.Add((origin, values));
    }
}
