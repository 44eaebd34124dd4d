using System.Text.Json;

namespace Moe.Plugins.Checkpoints.Tests;

public sealed class CheckpointTests : IDisposable
{
    private const string Layer = "model.layers.0.mlp";

    private readonly TemporaryFolder _folder = new();

    [Theory]
    [InlineData("tiny", 64, 64, 4, 2)]
    [InlineData("pad-hidden", 320, 192, 8, 4)]
    [InlineData("all-codes", 352, 416, 8, 4)]
    [InlineData("real-hidden", 2880, 64, 8, 4)]
    [InlineData("real-intermediate", 96, 2880, 4, 2)]
    [InlineData("many-experts", 128, 128, 128, 4)]
    [InlineData("one-token", 320, 192, 8, 4)]
    [InlineData("every-expert", 192, 96, 8, 8)]
    public void A_golden_file_is_one_layer(string name, int hidden, int intermediate, int experts, int topK)
    {
        using var checkpoint = Checkpoint.Open(Path.Combine(AppContext.BaseDirectory, "golden", $"{name}.safetensors"));
        CheckpointLayer layer = Assert.Single(checkpoint.MoeLayers);
        var expected = new MoeLayerShape { HiddenSize = hidden, IntermediateSize = intermediate, ExpertCount = experts, TopK = topK };
        Assert.Equal(expected, layer.Shape);
        Assert.Equal((Layer, 0), (layer.Name, layer.Index));

        // 4.25 bits a weight, and BF16 for biases and router.
        long weights = 3L * experts * hidden * intermediate;
        long others = 2L * experts * ((2 * intermediate) + hidden + hidden + 1);
        Assert.Equal((weights / 2) + (weights / 32) + others, layer.ByteCount);
        Assert.True(checkpoint.TryGetView("input", out MoeTensorView input));
        Assert.Equal(hidden, input.Columns);
        Assert.False(checkpoint.TryGetView("output", out _));
    }

    [Fact]
    public void A_folder_with_shards_and_config_is_one_model()
    {
        LayerFiles layers = LayerFiles.Mxfp4(2);
        layers.SaveShards(_folder.Path);
        _folder.WriteText("config.json", LayerFiles.Config);

        using var checkpoint = Checkpoint.Open(_folder.Path);
        Assert.Equal([0, 1], checkpoint.MoeLayers.Select(layer => layer.Index));
        Assert.Equal(2, checkpoint.Files.Count);
        Assert.All(checkpoint.MoeLayers, layer => Assert.Equal((3, 5f), (layer.Shape.TopK, layer.Shape.Activation.Limit)));
    }

    [Theory]
    [InlineData("../elsewhere.safetensors")]
    [InlineData("/etc/passwd")]
    [InlineData("sub/a.safetensors")]
    [InlineData("..\\a.safetensors")]
    [InlineData("C:a.safetensors")]
    [InlineData("..")]
    [InlineData("")]
    public void A_shard_outside_of_the_folder_is_refused(string shard)
    {
        _folder.WriteText("model.safetensors.index.json", $$$"""{"weight_map":{"x":"{{{JsonEncodedText.Encode(shard)}}}"}}""");
        Assert.Contains("plain name", Assert.Throws<MoeException>(() => Checkpoint.Open(_folder.Path)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{}", "weight_map")]
    [InlineData("[]", "not a JSON object")]
    [InlineData("{", "not valid JSON")]
    [InlineData("""{"weight_map":{"x":"none.safetensors"}}""", "none.safetensors")]
    [InlineData("""{"weight_map":{"x":"a.safetensors","x":"a.safetensors"}}""", "not valid JSON")]
    [InlineData("""{"weight_map":{"y":"a.safetensors"}}""", "no such tensor")]
    [InlineData("""{"weight_map":{"\ud800":"a.safetensors"}}""", "not valid JSON")]
    public void A_wrong_index_is_refused(string index, string fault)
    {
        _folder.Write("a.safetensors", """{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1);
        _folder.WriteText("model.safetensors.index.json", index);
        Assert.Contains(fault, Assert.Throws<MoeException>(() => Checkpoint.Open(_folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_without_a_model_says_what_is_expected() =>
        Assert.Contains("model.safetensors", Assert.Throws<MoeException>(() => Checkpoint.Open(_folder.Path)).Message, StringComparison.Ordinal);

    [Theory]
    [InlineData("hidden_size", "65")]
    [InlineData("intermediate_size", "95")]
    [InlineData("num_local_experts", "5")]
    [InlineData("num_experts_per_tok", "9")]
    [InlineData("num_experts_per_tok", "0")]
    [InlineData("num_experts_per_tok", "1.5")]
    [InlineData("swiglu_limit", "-7")]
    [InlineData("swiglu_alpha", "\"x\"")]
    public void A_config_that_contradicts_the_tensors_is_refused(string name, string value)
    {
        LayerFiles.Mxfp4(1).Save(_folder.File("model.safetensors"));
        var config = JsonSerializer.Deserialize<Dictionary<string, JsonElement>>(LayerFiles.Config)!;
        config[name] = JsonDocument.Parse(value).RootElement;
        _folder.WriteText("config.json", JsonSerializer.Serialize(config));
        string message = Assert.Throws<MoeException>(() => Checkpoint.Open(_folder.Path)).Message;
        Assert.Contains(value.Trim('"'), message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bf16_as_transformers_saves_it_is_input_major()
    {
        LayerFiles.BFloat16().Save(_folder.File("model.safetensors"));
        _folder.WriteText("config.json", LayerFiles.Config);
        using var checkpoint = Checkpoint.Open(_folder.Path);
        CheckpointLayer layer = Assert.Single(checkpoint.MoeLayers);
        Assert.Equal(MoeWeightFormat.BFloat16, layer.Shape.WeightFormat);
        Assert.Equal(MoeMatrixOrder.InputMajor, layer.Source.GateUp.Order);
        Assert.Equal((4, 64, 192), (layer.Source.GateUp.Values.Planes, layer.Source.GateUp.Values.Rows, layer.Source.GateUp.Values.Columns));
        Assert.Equal((4, 96, 64), (layer.Source.Down.Values.Planes, layer.Source.Down.Values.Rows, layer.Source.Down.Values.Columns));
    }

    [Fact]
    public void Absent_biases_are_no_biases()
    {
        LayerFiles files = LayerFiles.Mxfp4(1);
        files.Remove($"{Layer}.router.bias");
        files.Remove($"{Layer}.experts.gate_up_proj_bias");
        files.Remove($"{Layer}.experts.down_proj_bias");
        files.Save(_folder.File("model.safetensors"));
        _folder.WriteText("config.json", LayerFiles.Config);
        using var checkpoint = Checkpoint.Open(_folder.Path);
        Assert.False(checkpoint.MoeLayers[0].Shape.Router.HasLogitBias);
        Assert.False(checkpoint.MoeLayers[0].Shape.HasExpertBias);
    }

    [Theory]
    [InlineData("router.weight")]
    [InlineData("experts.gate_up_proj_blocks")]
    [InlineData("experts.gate_up_proj_scales")]
    [InlineData("experts.gate_up_proj_bias")]
    [InlineData("experts.down_proj_blocks")]
    [InlineData("experts.down_proj_scales")]
    [InlineData("experts.down_proj_bias")]
    public void A_missing_tensor_is_named(string tensor)
    {
        LayerFiles files = LayerFiles.Mxfp4(1);
        files.Remove($"{Layer}.{tensor}");
        files.Save(_folder.File("model.safetensors"));
        _folder.WriteText("config.json", LayerFiles.Config);
        string message = Assert.Throws<MoeException>(() => Checkpoint.Open(_folder.Path)).Message;
        Assert.Contains($"{tensor} is missing", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("router.weight", SafetensorsType.BF16, new long[] { 4, 65 })]
    [InlineData("router.bias", SafetensorsType.BF16, new long[] { 5 })]
    [InlineData("experts.gate_up_proj_blocks", SafetensorsType.U8, new long[] { 4, 191, 2, 16 })]
    [InlineData("experts.gate_up_proj_blocks", SafetensorsType.U8, new long[] { 4, 192, 2, 15 })]
    [InlineData("experts.gate_up_proj_blocks", SafetensorsType.U8, new long[] { 4, 192, 32 })]
    [InlineData("experts.gate_up_proj_blocks", SafetensorsType.I8, new long[] { 4, 192, 2, 16 })]
    [InlineData("experts.down_proj_blocks", SafetensorsType.U8, new long[] { 3, 64, 3, 16 })]
    [InlineData("experts.down_proj_scales", SafetensorsType.U8, new long[] { 4, 64, 2 })]
    [InlineData("experts.down_proj_bias", SafetensorsType.BF16, new long[] { 4, 63 })]
    [InlineData("experts.down_proj_bias", SafetensorsType.F16, new long[] { 4, 64 })]
    public void A_tensor_of_another_size_or_type_is_named(string tensor, SafetensorsType type, long[] shape)
    {
        LayerFiles files = LayerFiles.Mxfp4(1);
        files.Set($"{Layer}.{tensor}", type, shape);
        files.Save(_folder.File("model.safetensors"));
        _folder.WriteText("config.json", LayerFiles.Config);
        var exception = Assert.Throws<MoeException>(() => Checkpoint.Open(_folder.Path));
        Assert.Contains(Layer, exception.Message, StringComparison.Ordinal);
        Assert.Contains(tensor, exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_nobody_says_is_asked_for_and_taken_from_the_caller()
    {
        LayerFiles.Mxfp4(1).Save(_folder.File("a.safetensors"));
        string message = Assert.Throws<MoeException>(() => Checkpoint.Open(_folder.File("a.safetensors"))).Message;
        Assert.Contains("num_experts_per_tok", message, StringComparison.Ordinal);
        var options = new CheckpointOptions { TopK = 2, SwiGluAlpha = 1.5f, SwiGluLimit = 6 };
        using var checkpoint = Checkpoint.Open(_folder.File("a.safetensors"), options);
        Assert.Equal(2, checkpoint.MoeLayers[0].Shape.TopK);
        Assert.Equal(MoeActivation.SwiGluOai(1.5f, 6f), checkpoint.MoeLayers[0].Shape.Activation);
    }

    [Fact]
    public void A_shard_finds_the_config_beside_it_unless_it_describes_itself()
    {
        _folder.WriteText("config.json", LayerFiles.Config);
        LayerFiles.Mxfp4(1).Save(_folder.File("a.safetensors"));
        using (var checkpoint = Checkpoint.Open(_folder.File("a.safetensors")))
        {
            Assert.Equal(3, checkpoint.MoeLayers[0].Shape.TopK);
        }

        File.Copy(Path.Combine(AppContext.BaseDirectory, "golden", "tiny.safetensors"), _folder.File("tiny.safetensors"));
        using var own = Checkpoint.Open(_folder.File("tiny.safetensors"));
        Assert.Equal(2, own.MoeLayers[0].Shape.TopK);
    }

    [Fact]
    public void A_model_that_calls_itself_gpt_oss_need_not_state_its_constants()
    {
        LayerFiles.Mxfp4(1).Save(_folder.File("model.safetensors"));
        _folder.WriteText("config.json", """{"model_type":"gpt_oss","experts_per_token":2}""");
        using var checkpoint = Checkpoint.Open(_folder.Path);
        Assert.Equal(MoeActivation.SwiGluOai(), checkpoint.MoeLayers[0].Shape.Activation);
    }

    [Fact]
    public void Any_prefix_will_do_and_other_tensors_are_no_layers()
    {
        LayerFiles files = LayerFiles.Mxfp4(1);
        files.Rename(name => name.Replace("model.layers.0", "text.decoder.layers.11", StringComparison.Ordinal));
        files.Set("model.layers.3.mlp.router.weight", SafetensorsType.BF16, [4, 64]);
        files.Set("model.layers.4.mlp.experts.0.gate_proj.weight", SafetensorsType.BF16, [4, 64]);
        files.Save(_folder.File("model.safetensors"));
        _folder.WriteText("config.json", LayerFiles.Config);
        using var checkpoint = Checkpoint.Open(_folder.Path);
        Assert.Equal("text.decoder.layers.11.mlp", Assert.Single(checkpoint.MoeLayers).Name);
    }

    public void Dispose() => _folder.Dispose();
}
