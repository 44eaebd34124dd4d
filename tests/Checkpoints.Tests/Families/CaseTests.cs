using System.Text.Json.Nodes;

namespace Moe.Plugins.Checkpoints.Tests;

/// <summary>One GPT-OSS layer as several tools save it: whatever the names and types, it is the same layer.</summary>
public sealed class CaseTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Theory]
    [InlineData("openai-original")]
    [InlineData("e8m0-scales")]
    [InlineData("nested-config")]
    [InlineData("per-expert-packed")]
    [InlineData("f16-saved")]
    public void The_layer_is_that_of_the_published_names(string name) => AssertSame(Folder(name));

    [Fact]
    public void A_config_nested_under_another_name_is_found()
    {
        JsonObject config = JsonNode.Parse(File.ReadAllText(Path.Combine(Folder("nested-config"), "config.json")))!.AsObject();
        config["llm_config"] = config["text_config"]!.DeepClone();
        config.Remove("text_config");
        Rewrite("nested-config", name => name.Replace("model.language_model.", "language_model.model.", StringComparison.Ordinal), config.ToJsonString());
        AssertSame(_folder.Path);
    }

    [Fact]
    public void Quark_keeps_gates_and_ups_interleaved_in_a_tensor_for_each_expert()
    {
        var model = new SyntheticModel("""
            {"model_type":"gpt_oss","num_local_experts":4,"num_experts_per_tok":2,"quantization_config":{"quant_method":"quark",
             "global_quant_config":{"weight":{"dtype":"fp4","group_size":32,"scale_format":"e8m0"}},"exclude":["*router*"]}}
            """);
        CopyOthers(model);
        foreach ((string matrix, int rows, int columns) in (ReadOnlySpan<(string, int, int)>)[("gate_up_proj", 64, 64), ("down_proj", 64, 32)])
        {
            for (int expert = 0; expert < 4; expert++)
            {
                string start = $"model.layers.0.mlp.experts.{expert}.{matrix}";
                model.Add($"{start}.weight", SafetensorsType.U8, [rows, columns / 2], Part($"experts.{matrix}_blocks", expert));
                model.Add($"{start}.weight_scale", SafetensorsType.U8, [rows, columns / 32], Part($"experts.{matrix}_scales", expert));
                model.Add($"{start}.bias", SafetensorsType.BF16, [rows], Part($"experts.{matrix}_bias", expert));
                model.Add($"{start}.input_scale", SafetensorsType.F32, [], BitConverter.GetBytes(1f));
            }
        }

        model.Save(_folder.Path);
        AssertSame(_folder.Path);
    }

    [Fact]
    public void Mlx_packs_eight_codes_into_a_word_and_parts_gates_from_ups()
    {
        var model = new SyntheticModel("""
            {"model_type":"gpt_oss","num_local_experts":4,"num_experts_per_tok":2,"quantization":{"group_size":32,"bits":4,"mode":"mxfp4"}}
            """);
        CopyOthers(model);
        Stack(model, "gate_proj", "gate_up_proj", 64, 0, 2, 64);
        Stack(model, "up_proj", "gate_up_proj", 64, 1, 2, 64);
        Stack(model, "down_proj", "down_proj", 64, 0, 1, 32);
        model.Save(_folder.Path);
        AssertSame(_folder.Path);
    }

    [Fact]
    public void What_config_and_metadata_disagree_on_is_an_error()
    {
        string message = Refusal(Folder("contradict"));
        Assert.Contains("num_experts_per_tok = 2", message, StringComparison.Ordinal);
        Assert.Contains("num_experts_per_tok = 4", message, StringComparison.Ordinal);
        Assert.Contains("metadata", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("\"experts_per_token\":2", "\"experts_per_token\":3", "num_experts_per_tok = 2", "experts_per_token = 3")]
    [InlineData("\"num_local_experts\":4", "\"num_local_experts\":4,\"num_experts\":5", "experts 4 by its tensors", "num_experts = 5")]
    public void What_a_key_and_its_alias_disagree_on_is_an_error(string old, string replacement, string first, string second)
    {
        string config = File.ReadAllText(Path.Combine(Folder("baseline_ok"), "config.json")).Replace(": ", ":", StringComparison.Ordinal);
        Assert.Contains(old, config, StringComparison.Ordinal);
        Rewrite("baseline_ok", name => name, config.Replace(old, replacement, StringComparison.Ordinal));
        string message = Refusal(_folder.Path);
        Assert.Contains(first, message, StringComparison.Ordinal);
        Assert.Contains(second, message, StringComparison.Ordinal);
    }

    [Fact]
    public void Metadata_that_the_config_agrees_with_is_no_contradiction()
    {
        string config = File.ReadAllText(Path.Combine(Folder("contradict"), "config.json"));
        Rewrite("contradict", name => name, config.Replace(":2", ":4", StringComparison.Ordinal).Replace("7.0", "3.00", StringComparison.Ordinal));
        using var checkpoint = Checkpoint.Open(_folder.Path);
        Assert.Equal((4, 3f), (checkpoint.MoeLayers[0].Shape.TopK, checkpoint.MoeLayers[0].Shape.Activation.Limit));
    }

    public void Dispose() => _folder.Dispose();

    private static string Folder(string name) => Path.Combine(AppContext.BaseDirectory, "golden", "cases", name);

    private static string Refusal(string folder) => Assert.Throws<MoeException>(() => Checkpoint.Open(folder)).Message;

    private static void AssertSame(string folder)
    {
        using var expectedCheckpoint = Checkpoint.Open(Folder("baseline_ok"));
        using var checkpoint = Checkpoint.Open(folder);
        CheckpointLayer expected = Assert.Single(expectedCheckpoint.MoeLayers);
        CheckpointLayer layer = Assert.Single(checkpoint.MoeLayers);
        Assert.Equal(expected.Shape, layer.Shape with { WeightFormat = expected.Shape.WeightFormat });
        for (int expert = 0; expert < layer.Shape.ExpertCount; expert++)
        {
            Assert.Equal(expected.GateUp().Singles(expert), layer.GateUp().Singles(expert));
            Assert.Equal(expected.Down().Singles(expert), layer.Down().Singles(expert));
            Assert.Equal(expected.GateUp().Bias(expert), layer.GateUp().Bias(expert));
            Assert.Equal(expected.Down().Bias(expert), layer.Down().Bias(expert));
        }

        Assert.Equal(expected.Source.RouterWeight!.ToSingles(), layer.Source.RouterWeight!.ToSingles());
        Assert.Equal(expected.Source.RouterBias!.ToSingles(), layer.Source.RouterBias!.ToSingles());
    }

    private void Rewrite(string name, Func<string, string> rename, string config)
    {
        var writer = new SafetensorsWriter();
        using var file = SafetensorsFile.Open(Path.Combine(Folder(name), "model.safetensors"));
        foreach (SafetensorsTensor tensor in file.Tensors.Values)
        {
            writer.Add(rename(tensor.Name), tensor.Type, [.. tensor.Shape], Bytes(file.GetTensor(tensor)));
        }

        foreach ((string key, string value) in file.Metadata)
        {
            writer.Metadata[key] = value;
        }

        writer.Save(_folder.File("model.safetensors"));
        _folder.WriteText("config.json", config);
    }

    private static void CopyOthers(SyntheticModel model)
    {
        model.Add("model.layers.0.mlp.router.weight", SafetensorsType.BF16, [4, 64], Part("router.weight", null));
        model.Add("model.layers.0.mlp.router.bias", SafetensorsType.BF16, [4], Part("router.bias", null));
    }

    private static void Stack(SyntheticModel model, string name, string source, int storedRows, int first, int step, int columns)
    {
        byte[] blocks = Rows($"experts.{source}_blocks", storedRows, first, step);
        byte[] scales = Rows($"experts.{source}_scales", storedRows, first, step);
        byte[] bias = Rows($"experts.{source}_bias", storedRows, first, step);
        int rows = storedRows / step;
        model.Add($"model.layers.0.mlp.experts.{name}.weight", SafetensorsType.U32, [4, rows, columns / 8], blocks);
        model.Add($"model.layers.0.mlp.experts.{name}.scales", SafetensorsType.U8, [4, rows, columns / 32], scales);
        model.Add($"model.layers.0.mlp.experts.{name}.bias", SafetensorsType.BF16, [4, rows], bias);
    }

    private static byte[] Rows(string tensor, int rows, int first, int step)
    {
        byte[] bytes = Part(tensor, null);
        int rowBytes = bytes.Length / 4 / rows;
        return [.. Enumerable.Range(0, 4 * rows).Where(row => row % step == first).SelectMany(row => bytes.Skip(row * rowBytes).Take(rowBytes))];
    }

    private static byte[] Part(string tensor, int? expert)
    {
        using var file = SafetensorsFile.Open(Path.Combine(Folder("baseline_ok"), "model.safetensors"));
        byte[] bytes = Bytes(file.GetTensor(file.Tensors[$"model.layers.0.mlp.{tensor}"]));
        return expert is int index ? bytes[(index * bytes.Length / 4)..((index + 1) * bytes.Length / 4)] : bytes;
    }

    private static byte[] Bytes(MoeStoredTensor tensor)
    {
        using MoeBuffer buffer = MoeBuffer.OnHost(tensor);
        byte[] bytes = new byte[buffer.ByteCount];
        buffer.CopyToBytes(bytes);
        return bytes;
    }
}
