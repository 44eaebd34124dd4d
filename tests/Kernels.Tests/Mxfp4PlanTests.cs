using Moe.Plugins.Cuda;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Kernels.Tests;

public sealed class Mxfp4PlanTests
{
    private static readonly CudaArchitecture Hopper = new(9, 0);

    [Theory]
    [InlineData(1, false, Mxfp4Activations.BFloat16, Mxfp4Kind.Stream)]
    [InlineData(8, false, Mxfp4Activations.BFloat16, Mxfp4Kind.Stream)]
    [InlineData(9, false, Mxfp4Activations.BFloat16, Mxfp4Kind.Grouped)]
    [InlineData(8, true, Mxfp4Activations.BFloat16, Mxfp4Kind.Stream)]
    [InlineData(1, false, Mxfp4Activations.Mxfp8, Mxfp4Kind.Stream)]
    [InlineData(8, true, Mxfp4Activations.Mxfp8, Mxfp4Kind.Stream)]
    public void Few_tokens_run_in_one_launch(int tokens, bool isLarge, Mxfp4Activations activations, Mxfp4Kind expected)
    {
        var plan = new Mxfp4Plan(Hopper, isLarge ? MoeLayerShape.GptOss120B : MoeLayerShape.GptOss20B, activations: activations);
        Mxfp4Variant chosen = plan.Choose(tokens);

        Assert.Equal(expected, chosen.Kind);
        Assert.Contains(chosen, plan.Available);
    }

    [Fact]
    public void What_is_out_of_range_is_refused_by_the_arguments_name() =>
        Assert.Throws<ArgumentOutOfRangeException>("tokens", () => new Mxfp4Plan(Hopper, MoeLayerShape.GptOss20B).Choose(-1));

    [Fact]
    public void Sizes_that_the_stream_does_not_take_run_otherwise()
    {
        var plan = new Mxfp4Plan(Hopper, new MoeLayerShape { HiddenSize = 2848, IntermediateSize = 2880, ExpertCount = 32, TopK = 4 }, Mxfp4Variant.Read(new SettingsContext(("Kernels", "stream8x64")), "Kernels"));

        Assert.Equal(Mxfp4Kind.Grouped, plan.Choose(1).Kind);
        Assert.DoesNotContain(plan.Available, variant => variant.Kind == Mxfp4Kind.Stream);
    }

    [Theory]
    [InlineData(8, 512, "stream8x64")]
    [InlineData(8, 736, "stream8x64")]
    [InlineData(8, 96, "stream8x64")]
    [InlineData(9, 512, "grouped32x64")]
    [InlineData(64, 512, "grouped32x128")]
    public void Small_experts_have_small_tiles_while_they_are_few(int tokens, int intermediate, string expected)
    {
        var plan = new Mxfp4Plan(Hopper, new MoeLayerShape { HiddenSize = 2048, IntermediateSize = intermediate, ExpertCount = 256, TopK = 8 });

        Assert.Equal(expected, plan.Choose(tokens).ToString());
    }

    [Theory]
    [InlineData(8, 4096, 14336, 2, 64, "grouped32x128")]
    [InlineData(32, 2880, 2880, 4, 128, "grouped80x192")]
    [InlineData(16, 5120, 8192, 1, 256, "grouped80x192")]
    public void Tiles_have_fewer_rows_where_the_second_product_would_end_with_a_round_of_few(
        int experts, int hidden, int intermediate, int topK, int tokens, string expected)
    {
        var plan = new Mxfp4Plan(Hopper, new MoeLayerShape { HiddenSize = hidden, IntermediateSize = intermediate, ExpertCount = experts, TopK = topK });

        Assert.Equal(expected, plan.Choose(tokens).ToString());
    }

    [Theory]
    [InlineData(1024, false, Mxfp4Activations.BFloat16, "grouped160x192")]
    [InlineData(1024, false, Mxfp4Activations.Mxfp8, "grouped160x192")]
    [InlineData(4096, true, Mxfp4Activations.BFloat16, "grouped160x192")]
    [InlineData(8192, true, Mxfp4Activations.Mxfp8, "grouped160x192")]
    public void Many_tokens_have_one_large_tile(int tokens, bool isLarge, Mxfp4Activations activations, string expected)
    {
        var plan = new Mxfp4Plan(Hopper, isLarge ? MoeLayerShape.GptOss120B : MoeLayerShape.GptOss20B, activations: activations);

        Assert.Equal(expected, plan.Choose(tokens).ToString());
        Assert.Equal(expected, Assert.Single(plan.Available, variant => variant.Tokens > 96).ToString());
    }

    [Theory]
    [InlineData(MoeActivationKind.ReluSquared, Mxfp4Activations.BFloat16, Mxfp4Kind.Stream)]
    [InlineData(MoeActivationKind.SiTu, Mxfp4Activations.BFloat16, Mxfp4Kind.Stream)]
    [InlineData(MoeActivationKind.ReluSquared, Mxfp4Activations.Mxfp8, Mxfp4Kind.Grouped)]
    public void Few_tokens_of_any_activation_run_in_one_launch_where_they_are_not_rounded_to_mxfp8(
        MoeActivationKind kind, Mxfp4Activations activations, Mxfp4Kind expected)
    {
        MoeActivation activation = kind == MoeActivationKind.SiTu ? MoeActivation.SiTu(4, 25) : MoeActivation.ReluSquared;
        var shape = new MoeLayerShape { HiddenSize = 1024, IntermediateSize = 2688, ExpertCount = 896, TopK = 22, Activation = activation };

        Assert.Equal(expected, new Mxfp4Plan(Hopper, shape, activations: activations).Choose(8).Kind);
    }

    /// <summary>Backends have room for so many rows that are rounded apart from the gather.</summary>
    [Theory]
    [InlineData(9, 0, null)]
    [InlineData(9, 0, "stream8x64")]
    [InlineData(9, 0, "grouped80x256")]
    [InlineData(9, 0, "mma64x128")]
    [InlineData(8, 0, null)]
    public void The_most_tokens_of_other_kernels_than_the_grouped_ones_are_known(int major, int minor, string? forced)
    {
        Mxfp4Variant? variant = forced is null ? null : Mxfp4Variant.Read(new SettingsContext(("Kernels", forced)), "Kernels");
        var plan = new Mxfp4Plan(new CudaArchitecture(major, minor), MoeLayerShape.GptOss20B, variant, Mxfp4Activations.Mxfp8);

        foreach (int maxTokens in (int[])[1, 5, 8, 9, 300])
        {
            int most = Enumerable.Range(0, maxTokens + 1).LastOrDefault(tokens => plan.Choose(tokens).Kind != Mxfp4Kind.Grouped);
            Assert.Equal(most, plan.MostUngrouped(maxTokens));
        }
    }

    [Theory]
    [InlineData(1, "stream8x64")]
    [InlineData(9, "grouped32x128")]
    [InlineData(31, "grouped32x64")]
    [InlineData(8192, "grouped32x64")]
    public void Codes_that_are_dealt_for_E4M3_have_tiles_of_few_tokens_alone(int tokens, string expected)
    {
        Mxfp4Variant forced = Mxfp4Variant.Read(new SettingsContext(("Kernels", "grouped80x256")), "Kernels")!.Value;
        var plan = new Mxfp4Plan(Hopper, MoeLayerShape.GptOss20B, forced, Mxfp4Activations.Mxfp8, Mxfp4Dealing.E4M3);

        Assert.Equal(expected, plan.Choose(tokens).ToString());
        Assert.Equal(["stream8x64", "grouped32x64", "grouped32x128"], plan.Available.Select(variant => variant.ToString()));
    }

    [Fact]
    public void A_forced_variant_runs_what_it_can_and_the_plan_the_rest()
    {
        Mxfp4Variant forced = Mxfp4Variant.Read(new SettingsContext(("Kernels", "stream8x64")), "Kernels")!.Value;
        var plan = new Mxfp4Plan(Hopper, MoeLayerShape.GptOss20B, forced, Mxfp4Activations.Mxfp8);

        Assert.Equal(forced, plan.Choose(1));
        Assert.Equal(Mxfp4Kind.Grouped, plan.Choose(9).Kind);
        Assert.Contains(forced, plan.Available);
        Assert.Throws<MoeException>(() => new Mxfp4Plan(new CudaArchitecture(8, 0), MoeLayerShape.GptOss20B, forced));
    }
}
