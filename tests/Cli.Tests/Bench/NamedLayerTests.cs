namespace Moe.Plugins.Cli.Tests;

/// <summary>The layers of models that a command line can name, and what their floors count.</summary>
public sealed class NamedLayerTests
{
    public static TheoryData<string> Names => [.. NamedLayers.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public void A_name_is_a_layer_and_the_layer_has_that_name(string name)
    {
        MoeLayerShape shape = LayerShapeText.Parse(name);
        Assert.Equal(MoeWeightFormat.Mxfp4, shape.WeightFormat);
        Assert.Equal(name, LayerShapeText.SizesOf(shape));
        Assert.Equal(name, LayerShapeText.SizesOf(LayerShapeText.Parse($"{name.ToUpperInvariant()}:bf16")));
    }

    /// <summary>Worked by hand: 16 experts of 3584 × 3072 × 3 in MXFP4, and in BF16 a router of 896, shared experts of 6144 and two projections.</summary>
    [Fact]
    public void A_floor_counts_router_shared_experts_and_latent_projections()
    {
        MoeLayerShape kimi = LayerShapeText.Parse("kimi-k3");
        double experts = 16 * (3584.0 * 3072 * 3 * 17 / 32);
        double around = 2.0 * 7168 * (896 + (3 * 6144) + (2 * 3584));
        Assert.Equal(experts + around, BenchFloor.Bytes(kimi, 16));
        Assert.Equal(2.0 * ((16 * 3.0 * 3584 * 3072) + (7168 * (896.0 + (3 * 6144) + (2 * 3584)))), BenchFloor.Operations(kimi, 1));
    }

    /// <summary>Two matrices, as there is no gate.</summary>
    [Fact]
    public void An_expert_without_a_gate_has_two_matrices()
    {
        MoeLayerShape nemotron = LayerShapeText.Parse("nemotron-3-super");
        Assert.Equal(1024L * 2688 * 2 * 17 / 32, LayerBytes.OfExpert(nemotron, 1024, 2688));
    }

    [Fact]
    public async Task A_named_layer_runs_on_the_processor_and_is_right()
    {
        Cli result = await Cli.Run("run", "--shape", "qwen3.6-35b-a3b", "--backend", "Cpu", "--tokens", "2", "--verify");
        Assert.True(result.ExitCode == 0, result.Error);
        Assert.Contains("shared 512 in BF16", result.Output, StringComparison.Ordinal);
    }
}
