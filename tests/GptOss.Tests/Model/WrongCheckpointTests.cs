using Moe.Plugins.Checkpoints;

namespace Moe.Plugins.GptOss.Tests;

/// <summary>What is wrong with a checkpoint is said by name.</summary>
public sealed class WrongCheckpointTests
{
    [Theory]
    [InlineData("model.layers.2.self_attn.sinks")]
    [InlineData("model.layers.0.self_attn.o_proj.bias")]
    [InlineData("model.layers.3.input_layernorm.weight")]
    [InlineData("lm_head.weight")]
    [InlineData("model.norm.weight")]
    [InlineData("model.layers.1.mlp.experts.down_proj_scales")]
    public void A_missing_tensor(string name)
    {
        using var checkpoint = new TinyCheckpoint();
        checkpoint.Take(name);
        string text = Refused(checkpoint).Message;
        Assert.Contains(name.Split("mlp.")[^1], text, StringComparison.Ordinal);
        Assert.Contains("missing", text, StringComparison.Ordinal);
    }

    [Fact]
    public void A_layer_without_experts()
    {
        using var checkpoint = new TinyCheckpoint();
        foreach (string name in checkpoint.Tensors.Keys.Where(name => name.StartsWith("model.layers.3.mlp.", StringComparison.Ordinal)).ToArray())
        {
            checkpoint.Take(name);
        }

        Assert.Contains("'model.layers.3.mlp.experts.gate_up_proj_blocks' is missing", Refused(checkpoint).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Tensors_that_no_such_model_has()
    {
        using var checkpoint = new TinyCheckpoint();
        checkpoint.Tensors.Add("model.layers.4.self_attn.sinks", checkpoint["model.layers.3.self_attn.sinks"]);
        Assert.Contains("the first 'model.layers.4.self_attn.sinks'", Refused(checkpoint).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("head_dim", 16, "model.layers.0.self_attn.q_proj.weight")]
    [InlineData("num_key_value_heads", 4, "model.layers.0.self_attn.k_proj.weight")]
    [InlineData("vocab_size", 384, "model.embed_tokens.weight")]
    [InlineData("num_hidden_layers", 3, "layer_types")]
    [InlineData("num_experts_per_tok", 9, "num_experts_per_tok is 9; at most 8")]
    [InlineData("num_attention_heads", 0, "num_attention_heads is 0")]
    [InlineData("num_local_experts", 16, "num_local_experts = 16")]
    [InlineData("stored_layers", 5, "stored_layers is 5; at most 4")]
    [InlineData("stored_layers", 3, "no GPT-OSS of 3 layers has")]
    public void A_configuration_that_contradicts_the_tensors(string key, int value, string named)
    {
        using var checkpoint = new TinyCheckpoint();
        checkpoint.Config[key] = value;
        Assert.Contains(named, Refused(checkpoint).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("hidden_size")]
    [InlineData("vocab_size")]
    [InlineData("sliding_window")]
    public void A_configuration_that_lacks_a_size(string key)
    {
        using var checkpoint = new TinyCheckpoint();
        checkpoint.Config.Remove(key);
        Assert.Contains($"{key} is missing", Refused(checkpoint).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Tensors_of_another_size_or_type()
    {
        using var checkpoint = new TinyCheckpoint();
        const string sinks = "model.layers.2.self_attn.sinks", norm = "model.norm.weight";
        TinyCheckpoint.Tensor right = checkpoint[sinks];
        checkpoint.Tensors[sinks] = right with { Shape = [right.Shape[0] / 2], Data = right.Data[..(right.Data.Length / 2)] };
        Assert.Contains($"'{sinks}'", Refused(checkpoint).Message, StringComparison.Ordinal);

        checkpoint.Tensors[sinks] = right;
        checkpoint.Tensors[norm] = checkpoint[norm] with { Type = SafetensorsType.I16 };
        Assert.Contains($"'{norm}'", Refused(checkpoint).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Another_model()
    {
        using var checkpoint = new TinyCheckpoint();
        checkpoint.Config["model_type"] = "mixtral";
        Assert.Contains("model_type is 'mixtral'; gpt_oss is expected", Refused(checkpoint).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_that_is_not_there()
    {
        MoeException refused = Assert.Throws<MoeException>(() => Models.Load(options => options.Model = "/no/such/model"));
        Assert.Equal(MoeReason.NotFound, refused.Reason);
    }

    [Fact]
    public void A_model_that_does_not_fit_into_memory()
    {
        MoeException refused = Assert.Throws<MoeException>(() => Models.Load(options => options.MaxContext = int.MaxValue));
        Assert.Equal(MoeReason.OutOfMemory, refused.Reason);
        Assert.Contains("GB of memory", refused.Message, StringComparison.Ordinal);
    }

    private static MoeException Refused(TinyCheckpoint checkpoint)
    {
        string folder = checkpoint.Save();
        MoeException refused = Assert.Throws<MoeException>(() => Models.Load(options => options.Model = folder));
        Assert.Equal(MoeReason.Checkpoint, refused.Reason);
        return refused;
    }
}
