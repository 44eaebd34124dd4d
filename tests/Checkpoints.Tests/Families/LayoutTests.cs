namespace Moe.Plugins.Checkpoints.Tests;

/// <summary>One tensor for all experts, in each order that families have.</summary>
public sealed class LayoutTests : IDisposable
{
    private const int E = SyntheticModel.Experts;
    private const int H = SyntheticModel.Hidden;
    private const int I = SyntheticModel.Intermediate;

    private readonly TemporaryFolder _folder = new();

    [Theory]
    [InlineData("qwen3_5_moe", "model.language_model.layers.0.mlp", "gate.weight", "experts.gate_up_proj", "experts.down_proj", false)]
    [InlineData("qwen3_vl_moe", "model.language_model.layers.0.mlp", "gate.weight", "experts.gate_up_proj", "experts.down_proj", true)]
    [InlineData("llama4", "language_model.model.layers.0.feed_forward", "router.weight", "experts.gate_up_proj", "experts.down_proj", true)]
    [InlineData("granitemoehybrid", "model.layers.0.block_sparse_moe", "router.layer.weight", "input_linear.weight", "output_linear.weight", false)]
    public void All_gates_then_all_ups(string type, string layerName, string router, string first, string second, bool isInputMajor)
    {
        var model = new SyntheticModel($$"""{"model_type":"{{type}}","num_experts_per_tok":1}""");
        model.AddNumbers($"{layerName}.{router}", SafetensorsType.BF16, E, H);
        float[] gateUp = model.AddNumbers($"{layerName}.{first}", SafetensorsType.BF16, isInputMajor ? [E, H, 2 * I] : [E, 2 * I, H]);
        float[] down = model.AddNumbers($"{layerName}.{second}", SafetensorsType.BF16, isInputMajor ? [E, I, H] : [E, H, I]);
        AddShared(model, type, layerName);
        model.Save(_folder.Path);

        using var checkpoint = Checkpoint.Open(_folder.Path);
        CheckpointLayer layer = Assert.Single(checkpoint.MoeLayers);
        Assert.Equal(isInputMajor ? MoeMatrixOrder.InputMajor : MoeMatrixOrder.OutputMajor, layer.Source.GateUp.Order);
        for (int expert = 0; expert < E; expert++)
        {
            float[] read = layer.GateUp().Singles(expert);
            float[] readDown = layer.Down().Singles(expert);
            for (int row = 0; row < 2 * I; row++)
            {
                // Output 2i is gate i, 2i + 1 is up i.
                int stored = (row % 2 * I) + (row / 2);
                for (int column = 0; column < H; column++)
                {
                    int at = isInputMajor ? (column * 2 * I) + stored : (stored * H) + column;
                    Assert.Equal(gateUp[(expert * 2 * I * H) + at], read[(row * H) + column]);
                }
            }

            for (int at = 0; at < H * I; at++)
            {
                int stored = isInputMajor ? (at % I * H) + (at / I) : at;
                Assert.Equal(down[(expert * H * I) + stored], readDown[at]);
            }
        }
    }

    [Theory]
    [InlineData("""{"model_type":"step3p7","text_config":{"model_type":"step3p5","num_hidden_layers":5,"moe_layers_enum":"3,4","moe_num_experts":4,"moe_top_k":2,"share_expert_dim":32,"moe_router_scaling_factor":3.0,"swiglu_limits":[0,0,0,0,7.0],"swiglu_limits_shared":[0,0,0,0,16.0]}}""", 4, 7f, 16f)]
    [InlineData("""{"model_type":"step3p5","num_hidden_layers":5,"moe_num_experts":4,"moe_top_k":2,"share_expert_dim":32,"moe_router_scaling_factor":3.0,"swiglu_limits":[0,0,0,0,7.0]}""", 3, float.PositiveInfinity, float.PositiveInfinity)]
    public void Step_stacks_experts_under_no_name_and_clamps_behind_SiLU(string config, int index, float limit, float sharedLimit)
    {
        var model = new SyntheticModel(config);
        string layerName = $"model.layers.{index}";
        model.AddNumbers($"{layerName}.moe.gate.weight", SafetensorsType.F32, E, H);
        model.AddNumbers($"{layerName}.moe.router_bias", SafetensorsType.F32, E);
        float[] gate = model.AddNumbers($"{layerName}.moe.gate_proj.weight", SafetensorsType.BF16, E, I, H);
        float[] up = model.AddNumbers($"{layerName}.moe.up_proj.weight", SafetensorsType.BF16, E, I, H);
        model.AddNumbers($"{layerName}.moe.down_proj.weight", SafetensorsType.BF16, E, H, I);
        AddSwiGlu(model, $"{layerName}.share_expert");
        model.Save(_folder.Path);

        using var checkpoint = Checkpoint.Open(_folder.Path);
        CheckpointLayer layer = Assert.Single(checkpoint.MoeLayers);
        Assert.Equal((limit, limit < float.PositiveInfinity), (layer.Shape.Activation.Limit, layer.Shape.Activation.ClampsAfter));
        Assert.Equal((sharedLimit, sharedLimit < float.PositiveInfinity), (layer.Shape.Shared!.Activation.Limit, layer.Shape.Shared.Activation.ClampsAfter));
        Assert.Equal((3f, true, 0f), (layer.Shape.Router.Scale, layer.Shape.Router.HasSelectionBias, layer.Shape.Router.Epsilon));
        float[] read = layer.GateUp().Singles(2);
        Assert.Equal(gate.AsSpan((2 * I * H) + H, H), read.AsSpan(2 * H, H));
        Assert.Equal(up.AsSpan((2 * I * H) + H, H), read.AsSpan(3 * H, H));
    }

    [Fact]
    public void Gates_and_ups_in_one_tensor_may_have_global_scales_of_their_own()
    {
        const string name = "model.layers.0.mlp";
        var model = new SyntheticModel("""{"model_type":"qwen3_5_moe","num_experts_per_tok":1,"quantization_config":{"quant_method":"modelopt","quant_algo":"NVFP4"}}""");
        model.AddNumbers($"{name}.gate.weight", SafetensorsType.BF16, E, H);
        byte ones(int _) => 0x22;
        byte unit(int _) => 0x38;
        model.Add($"{name}.experts.gate_up_proj", SafetensorsType.U8, [E, 2 * I, H / 2], [.. Enumerable.Range(0, E * I * H).Select(ones)]);
        model.Add($"{name}.experts.gate_up_proj_scale", SafetensorsType.F8E4M3, [E, 2 * I, H / 16], [.. Enumerable.Range(0, E * I * H / 8).Select(unit)]);
        float[] globals = [.. Enumerable.Range(1, 2 * E).Select(i => (float)i)];
        model.Add($"{name}.experts.gate_up_proj_scale_2", SafetensorsType.F32, [E, 2], SyntheticModel.Encode(globals, SafetensorsType.F32));
        model.Add($"{name}.experts.down_proj", SafetensorsType.U8, [E, H, I / 2], [.. Enumerable.Range(0, E * I * H / 2).Select(ones)]);
        model.Add($"{name}.experts.down_proj_scale", SafetensorsType.F8E4M3, [E, H, I / 16], [.. Enumerable.Range(0, E * I * H / 16).Select(unit)]);
        model.Add($"{name}.experts.down_proj_scale_2", SafetensorsType.F32, [E], SyntheticModel.Encode([1, 2, 3, 4], SafetensorsType.F32));
        model.Save(_folder.Path);

        using var checkpoint = Checkpoint.Open(_folder.Path);
        CheckpointLayer layer = Assert.Single(checkpoint.MoeLayers);
        for (int expert = 0; expert < E; expert++)
        {
            // Code and block scale are 1, so that each number is its global scale.
            float[] read = layer.GateUp().Singles(expert);
            Assert.All(Enumerable.Range(0, 2 * I), row => Assert.Equal(globals[(2 * expert) + (row % 2)], read[row * H]));
            Assert.Equal(expert + 1f, layer.Down().Singles(expert)[5]);
        }
    }

    public void Dispose() => _folder.Dispose();

    private static void AddShared(SyntheticModel model, string type, string layerName)
    {
        if (type is "llama4" or "qwen3_5_moe")
        {
            AddSwiGlu(model, $"{layerName}.shared_expert");
        }

        if (type == "qwen3_5_moe")
        {
            model.AddNumbers($"{layerName}.shared_expert_gate.weight", SafetensorsType.BF16, 1, H);
        }
    }

    private static void AddSwiGlu(SyntheticModel model, string module)
    {
        model.AddNumbers($"{module}.gate_proj.weight", SafetensorsType.BF16, I, H);
        model.AddNumbers($"{module}.up_proj.weight", SafetensorsType.BF16, I, H);
        model.AddNumbers($"{module}.down_proj.weight", SafetensorsType.BF16, H, I);
    }
}
