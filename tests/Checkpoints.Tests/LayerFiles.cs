namespace Moe.Plugins.Checkpoints.Tests;

/// <summary>The tensors of small layers, to be saved whole, in shards, or with one of them wrong.</summary>
internal sealed class LayerFiles
{
    public const string Config = """
        {"num_local_experts":4,"hidden_size":64,"intermediate_size":96,"num_experts_per_tok":3,"swiglu_limit":5.0,"layer_types":["x"]}
        """;

    private const int Experts = 4;
    private const int Hidden = 64;
    private const int Intermediate = 96;

    private Dictionary<string, (SafetensorsType Type, long[] Shape)> _tensors = [];

    public static LayerFiles Mxfp4(int layers)
    {
        var files = new LayerFiles();
        for (int i = 0; i < layers; i++)
        {
            files.AddCommon(i);
            files.Set($"model.layers.{i}.mlp.experts.gate_up_proj_blocks", SafetensorsType.U8, [Experts, 2 * Intermediate, Hidden / 32, 16]);
            files.Set($"model.layers.{i}.mlp.experts.gate_up_proj_scales", SafetensorsType.U8, [Experts, 2 * Intermediate, Hidden / 32]);
            files.Set($"model.layers.{i}.mlp.experts.down_proj_blocks", SafetensorsType.U8, [Experts, Hidden, Intermediate / 32, 16]);
            files.Set($"model.layers.{i}.mlp.experts.down_proj_scales", SafetensorsType.U8, [Experts, Hidden, Intermediate / 32]);
        }

        return files;
    }

    public static LayerFiles BFloat16()
    {
        var files = new LayerFiles();
        files.AddCommon(0);
        files.Set("model.layers.0.mlp.experts.gate_up_proj", SafetensorsType.BF16, [Experts, Hidden, 2 * Intermediate]);
        files.Set("model.layers.0.mlp.experts.down_proj", SafetensorsType.BF16, [Experts, Intermediate, Hidden]);
        return files;
    }

    public void Set(string name, SafetensorsType type, long[] shape) => _tensors[name] = (type, shape);

    public void Remove(string name) => Assert.True(_tensors.Remove(name));

    public void Rename(Func<string, string> rename) => _tensors = _tensors.ToDictionary(pair => rename(pair.Key), pair => pair.Value);

    public void Save(string path) => Save(path, _tensors.Keys);

    /// <summary>Saves two shards that cut through every layer, with their index.</summary>
    public void SaveShards(string folder)
    {
        string[][] parts = [[.. _tensors.Keys.Where((_, i) => i % 2 == 0)], [.. _tensors.Keys.Where((_, i) => i % 2 == 1)]];
        var map = new List<string>();
        for (int i = 0; i < parts.Length; i++)
        {
            string shard = $"model-0000{i + 1}-of-00002.safetensors";
            Save(Path.Combine(folder, shard), parts[i]);
            map.AddRange(parts[i].Select(name => $"\"{name}\":\"{shard}\""));
        }

        string index = $$$"""{"metadata":{"total_size":1},"weight_map":{{{{string.Join(",", map)}}}}}""";
        File.WriteAllText(Path.Combine(folder, "model.safetensors.index.json"), index);
    }

    private void AddCommon(int layer)
    {
        Set($"model.layers.{layer}.mlp.router.weight", SafetensorsType.BF16, [Experts, Hidden]);
        Set($"model.layers.{layer}.mlp.router.bias", SafetensorsType.BF16, [Experts]);
        Set($"model.layers.{layer}.mlp.experts.gate_up_proj_bias", SafetensorsType.BF16, [Experts, 2 * Intermediate]);
        Set($"model.layers.{layer}.mlp.experts.down_proj_bias", SafetensorsType.BF16, [Experts, Hidden]);
    }

    private void Save(string path, IEnumerable<string> names)
    {
        var writer = new SafetensorsWriter();
        foreach (string name in names)
        {
            (SafetensorsType type, long[] shape) = _tensors[name];
            int width = type switch { SafetensorsType.U8 or SafetensorsType.I8 => 1, SafetensorsType.I32 => 4, _ => 2 };
            writer.Add(name, type, shape, new byte[shape.Aggregate(1L, (a, b) => a * b) * width]);
        }

        writer.Save(path);
    }
}
