namespace Moe.Plugins.Checkpoints.Tests;

public sealed class UnknownModelTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Fact]
    public void An_unknown_model_is_one_sentence_with_its_type_its_experts_and_what_is_read()
    {
        var model = new SyntheticModel("""{"model_type":"some_new_moe","text_config":{"model_type":"some_new_text"}}""");
        model.AddNumbers("model.layers.0.mlp.experts.0.gate_proj.weight", SafetensorsType.BF16, 4, 4);
        model.AddNumbers("model.layers.0.mlp.experts.1.gate_proj.weight", SafetensorsType.BF16, 4, 4);
        model.Save(_folder.Path);
        string message = Assert.Throws<MoeException>(() => Checkpoint.Open(_folder.Path)).Message;
        Assert.All(
            ["'some_new_text'", "'some_new_moe'", "2 tensors", "'model.layers.0.mlp.experts.0.gate_proj.weight'", "Mixtral", "Qwen3.5-MoE"],
            word => Assert.Contains(word, message, StringComparison.Ordinal));
        Assert.DoesNotContain(". ", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Experts_without_a_config_are_said_to_have_none()
    {
        var model = new SyntheticModel("{}");
        model.AddNumbers("model.layers.0.mlp.experts.0.gate_proj.weight", SafetensorsType.BF16, 4, 4);
        model.Save(_folder.Path);
        Assert.Contains("states no model_type", Assert.Throws<MoeException>(() => Checkpoint.Open(_folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_known_model_whose_layers_have_other_names_says_which_are_expected()
    {
        var model = new SyntheticModel("""{"model_type":"mixtral"}""");
        model.AddNumbers("transformer.blocks.0.experts.0.w1.weight", SafetensorsType.BF16, 4, 4);
        model.Save(_folder.Path);
        string message = Assert.Throws<MoeException>(() => Checkpoint.Open(_folder.Path)).Message;
        Assert.Contains("Mixtral", message, StringComparison.Ordinal);
        Assert.Contains("layers.N.block_sparse_moe.experts", message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_dense_model_has_no_layers_of_experts()
    {
        var model = new SyntheticModel("""{"model_type":"llama"}""");
        model.AddNumbers("model.layers.0.mlp.gate_proj.weight", SafetensorsType.BF16, 4, 4);
        model.Save(_folder.Path);
        using var checkpoint = Checkpoint.Open(_folder.Path);
        Assert.Empty(checkpoint.MoeLayers);
        Assert.Equal("llama", checkpoint.ModelType);
    }

    public void Dispose() => _folder.Dispose();
}
