using System.Text.Json.Nodes;

namespace Moe.Plugins.Checkpoints.Tests;

/// <summary>A model of random tensors, made to be saved in any family's names and any format.</summary>
internal sealed class SyntheticModel
{
    public const int Hidden = 64;
    public const int Intermediate = 32;
    public const int Experts = 4;

    private readonly SortedDictionary<string, (SafetensorsType Type, long[] Shape, byte[] Data)> _tensors = new(StringComparer.Ordinal);

    public SyntheticModel(string config, int seed = 1)
    {
        Config = JsonNode.Parse(config)!.AsObject();
        Random = new Random(seed);
    }

    public JsonObject Config { get; }

    public Random Random { get; }

    /// <summary>The language model's own object.</summary>
    public JsonObject Text => Config["text_config"] as JsonObject ?? Config;

    public IEnumerable<string> Names => _tensors.Keys;

    public void Add(string name, SafetensorsType type, long[] shape, byte[] data) => _tensors.Add(name, (type, shape, data));

    /// <summary>Numbers that every format of numbers has: small, and of few bits.</summary>
    public float[] AddNumbers(string name, SafetensorsType type, params long[] shape)
    {
        float[] values = [.. Enumerable.Range(0, (int)shape.Aggregate(1L, (a, b) => a * b)).Select(_ => Random.Next(-32, 33) / 64f)];
        Add(name, type, shape, Encode(values, type));
        return values;
    }

    public void Remove(string name) => Assert.True(_tensors.Remove(name), name);

    public void Rename(Func<string, string> rename)
    {
        foreach ((string name, var tensor) in _tensors.ToArray())
        {
            _tensors.Remove(name);
            _tensors.Add(rename(name), tensor);
        }
    }

    public void Save(string folder)
    {
        var writer = new SafetensorsWriter();
        foreach ((string name, var tensor) in _tensors)
        {
            writer.Add(name, tensor.Type, tensor.Shape, tensor.Data);
        }

        writer.Save(Path.Combine(folder, "model.safetensors"));
        File.WriteAllText(Path.Combine(folder, "config.json"), Config.ToJsonString());
    }

    public static byte[] Encode(float[] values, SafetensorsType type) => type switch
    {
        SafetensorsType.F32 => [.. values.SelectMany(BitConverter.GetBytes)],
        SafetensorsType.F16 => [.. values.SelectMany(value => BitConverter.GetBytes((Half)value))],
        _ => [.. values.SelectMany(value => BitConverter.GetBytes(value).Skip(2))],
    };
}
