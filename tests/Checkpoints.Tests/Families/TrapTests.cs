using System.Text.Json.Nodes;

namespace Moe.Plugins.Checkpoints.Tests;

/// <summary>What others have read wrong without a word: here it is read right, or refused.</summary>
public sealed class TrapTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Theory]
    [InlineData("qwen3", """{"norm_topk_prob":null}""", false)]
    [InlineData("qwen3", """{"norm_topk_prob":false}""", false)]
    [InlineData("qwen3", """{"norm_topk_prob":true}""", true)]
    [InlineData("qwen3", """{"model_type":"olmoe","norm_topk_prob":null,"intermediate_size":32}""", false)]
    [InlineData("qwen3", """{"model_type":"qwen3_5_moe","norm_topk_prob":false}""", true)]
    public void An_absent_key_does_not_renormalise(string family, string changes, bool renormalises) =>
        Assert.Equal(renormalises, Read(family, "bf16", changes).Shape.Router.Renormalize);

    [Theory]
    [InlineData("deepseek-v3", """{"model_type":"glm5_next","swiglu_limit":10.0,"n_group":1}""", 10f, false)]
    [InlineData("deepseek-v4", """{"swiglu_limit":0}""", float.PositiveInfinity, false)]
    [InlineData("ling-3", "{}", 4f, true)]
    public void A_clamp_holds_before_SiLU_or_behind_it_as_the_family_says(string family, string changes, float limit, bool after)
    {
        MoeActivation activation = Read(family, "bf16", changes).Shape.Activation;
        Assert.Equal((limit, after), (activation.Limit, activation.ClampsAfter));
    }

    [Fact]
    public void Shared_experts_have_a_clamp_of_their_own() =>
        Assert.Equal(5f, Read("ling-3", "bf16", "{}").Shape.Shared!.Activation.Limit);

    [Fact]
    public void Kimi_K3_has_latent_experts_a_norm_and_SiTU()
    {
        CheckpointLayer layer = Read("kimi-k3", "compressed-tensors mxfp4", "{}");
        Assert.Equal(MoeActivation.SiTu(4, 25), layer.Shape.Activation);
        Assert.Equal(MoeActivation.SiTu(4, 25), layer.Shape.Shared!.Activation);
        Assert.Equal((32, 1e-5f), (layer.Shape.Latent!.Width, layer.Shape.Latent.NormEpsilon));
    }

    [Theory]
    [InlineData("shared_experts", "common_experts", "n_shared_experts")]
    [InlineData("shared_experts.up_proj.weight", "shared_experts.upward.weight", "up_proj")]
    public void Shared_experts_are_never_dropped(string old, string replacement, string named)
    {
        SyntheticModel model = Create("deepseek-v3", "bf16");
        model.Rename(name => name.Replace(old, replacement, StringComparison.Ordinal));
        Assert.Contains(named, Refusal(model), StringComparison.Ordinal);
    }

    [Fact]
    public void A_tensor_that_the_family_does_not_have_is_refused_and_not_forgotten()
    {
        SyntheticModel model = Create("qwen3", "bf16");
        model.AddNumbers("model.layers.3.mlp.shared_mlp.up_proj.weight", SafetensorsType.BF16, 32, 64);
        Assert.Contains("shared_mlp.up_proj.weight", Refusal(model), StringComparison.Ordinal);
    }

    [Fact]
    public void A_selection_bias_that_is_missing_is_named()
    {
        SyntheticModel model = Create("deepseek-v3", "bf16");
        model.Remove("model.layers.3.mlp.gate.e_score_correction_bias");
        Assert.Contains("gate.e_score_correction_bias is missing", Refusal(model), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("model.layers.4.mlp")]
    [InlineData("mtp.layers.0.mlp")]
    [InlineData("model.mtp_layers.layers.0.mlp")]
    public void Layers_that_draft_further_tokens_are_skipped(string name)
    {
        SyntheticModel model = Create("qwen3", "bf16");
        model.AddNumbers($"{name}.gate.weight", SafetensorsType.BF16, 8, 64);
        model.AddNumbers($"{name}.experts.0.gate_proj.weight", SafetensorsType.BF16, 16, 64);
        model.Save(_folder.Path);
        using var checkpoint = Checkpoint.Open(_folder.Path);
        Assert.Equal(3, Assert.Single(checkpoint.MoeLayers).Index);
    }

    [Fact]
    public void A_layer_that_the_config_calls_dense_and_that_has_experts_is_a_contradiction() =>
        Assert.Contains("layer 3 has none", Refusal(Create("qwen3", "bf16", """{"mlp_only_layers":[3]}""")), StringComparison.Ordinal);

    [Theory]
    [InlineData("compressed-tensors mxfp4", """{"quantization_config":{"quant_method":"compressed-tensors","format":"mxfp4-pack-quantized","ignore":["re:.*experts.*"]}}""", "not quantised")]
    [InlineData("compressed-tensors mxfp4", """{"quantization_config":{"quant_method":"compressed-tensors","format":"nvfp4-pack-quantized"}}""", "Nvfp4")]
    [InlineData("quark mxfp4", """{"quantization_config":{"quant_method":"modelopt","quant_algo":"NVFP4"}}""", "Nvfp4")]
    [InlineData("bf16", """{"quantization_config":{"quant_method":"compressed-tensors","format":"mxfp4-pack-quantized"}}""", "Mxfp4")]
    [InlineData("native mxfp4", """{"quantization_config":{"quant_method":"fp8","modules_to_not_convert":["model.layers.3.mlp.experts"]}}""", "not quantised")]
    [InlineData("fp8 f32", """{"expert_dtype":"fp4"}""", "Mxfp4")]
    [InlineData("fp8 f32", """{"quantization_config":{"quant_method":"fp8","weight_block_size":[128,128]}}""", "weight_block_size")]
    public void Tensors_and_quantization_config_that_differ_are_a_contradiction(string format, string changes, string expected) =>
        Assert.Contains(expected, Refusal(Create("qwen3", format, changes)), StringComparison.Ordinal);

    [Theory]
    [InlineData("""{"quantization_config":{"quant_method":"compressed-tensors","format":"mxfp4-pack-quantized","ignore":["re:.*experts.*"]}}""")]
    [InlineData("""{"quantization_config":{"quant_method":"quark","exclude":["model.layers.3.mlp.experts.*"],"global_quant_config":{"weight":{"dtype":"fp4","scale_format":"e8m0"}}}}""")]
    public void Experts_that_a_list_leaves_out_are_not_quantised(string changes)
    {
        Create("qwen3", "bf16", changes).Save(_folder.Path);
        using var checkpoint = Checkpoint.Open(_folder.Path);
        Assert.Equal(MoeWeightFormat.BFloat16, checkpoint.MoeLayers[0].Shape.WeightFormat);
    }

    [Theory]
    [InlineData("re:(([a-z0-9._])+.?)+[A-Z]$")]
    [InlineData("re:((")]
    public void An_expression_without_end_or_sense_checks_nothing(string expression)
    {
        SyntheticModel model = Create("qwen3", "compressed-tensors mxfp4");
        model.Text["quantization_config"]!["ignore"] = new JsonArray(expression);
        model.Save(_folder.Path);
        using var checkpoint = Checkpoint.Open(_folder.Path);
        Assert.Equal(MoeWeightFormat.Mxfp4, checkpoint.MoeLayers[0].Shape.WeightFormat);
    }

    [Fact]
    public void Codes_of_four_bits_as_whole_numbers_are_known_and_not_read()
    {
        SyntheticModel model = Create("kimi-k2.5", "bf16", """{"quantization_config":{"quant_method":"compressed-tensors","format":"pack-quantized"}}""");
        foreach (string name in model.Names.Where(name => name.Contains(".experts.", StringComparison.Ordinal)).ToArray())
        {
            model.Remove(name);
            model.Add(name.Replace(".weight", ".weight_packed", StringComparison.Ordinal), SafetensorsType.I32, [32, 8], new byte[1024]);
            model.AddNumbers(name.Replace(".weight", ".weight_scale", StringComparison.Ordinal), SafetensorsType.BF16, 32, 2);
        }

        string message = Refusal(model);
        Assert.Contains("DeepSeek-V3", message, StringComparison.Ordinal);
        Assert.Contains("INT4", message, StringComparison.Ordinal);
        Assert.Contains("MXFP4", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("qweight", SafetensorsType.I32)]
    [InlineData("weight.absmax", SafetensorsType.F32)]
    public void Other_quantisers_names_are_said(string suffix, SafetensorsType type)
    {
        SyntheticModel model = Create("qwen3", "bf16", """{"quantization_config":{"quant_method":"gptq"}}""");
        foreach (string name in model.Names.Where(name => name.Contains(".experts.", StringComparison.Ordinal)).ToArray())
        {
            model.Remove(name);
            model.Add(name.Replace("weight", suffix, StringComparison.Ordinal), type, [2, 2], new byte[16]);
        }

        string message = Refusal(model);
        Assert.Contains(suffix, message, StringComparison.Ordinal);
        Assert.Contains("gptq", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"hidden_size":65}""", "hidden_size = 65")]
    [InlineData("""{"moe_intermediate_size":33}""", "moe_intermediate_size = 33")]
    [InlineData("""{"num_experts":5}""", "num_experts = 5")]
    [InlineData("""{"hidden_act":"mish"}""", "hidden_act = mish")]
    [InlineData("""{"norm_topk_prob":"maybe"}""", "norm_topk_prob = maybe")]
    public void A_config_that_the_tensors_contradict_is_named(string changes, string expected) =>
        Assert.Contains(expected, Refusal(Create("qwen3", "bf16", changes)), StringComparison.Ordinal);

    public void Dispose() => _folder.Dispose();

    private static SyntheticModel Create(string family, string format, string changes = "{}")
    {
        SyntheticModel model = SyntheticFamily.All.Single(one => one.Name == family)
            .Create(StoredFormat.All.Single(one => one.Name == format), StoredFormat.All[0], out _);
        foreach ((string key, JsonNode? value) in JsonNode.Parse(changes)!.AsObject())
        {
            model.Text[key] = value?.DeepClone();
        }

        return model;
    }

    private CheckpointLayer Read(string family, string format, string changes)
    {
        Create(family, format, changes).Save(_folder.Path);
        using var checkpoint = Checkpoint.Open(_folder.Path);
        return Assert.Single(checkpoint.MoeLayers);
    }

    private string Refusal(SyntheticModel model)
    {
        model.Save(_folder.Path);
        return Assert.Throws<MoeException>(() => Checkpoint.Open(_folder.Path)).Message;
    }
}
