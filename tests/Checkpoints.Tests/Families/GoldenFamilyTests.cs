using Moe.Plugins.Tests;

namespace Moe.Plugins.Checkpoints.Tests;

/// <summary>What is read of tiny models that transformers saved: which family, which router, which activation.</summary>
public sealed class GoldenFamilyTests
{
    private static readonly MoeRouter Sigmoid = new()
    {
        Score = MoeRouterScore.Sigmoid,
        Renormalize = true,
        Epsilon = 1e-20f,
        HasSelectionBias = true,
    };

    private static readonly Dictionary<string, (string Family, MoeRouter Router)> Expected = new()
    {
        ["afmoe"] = ("AFMoE", Sigmoid with { Scale = 2 }),
        ["deepseek-v2"] = ("DeepSeek-V2", MoeRouter.SoftmaxThenTopK with { Scale = 16, GroupCount = 4, TopGroups = 2, GroupRule = MoeGroupRule.Max }),
        ["deepseek-v3"] = ("DeepSeek-V3", Sigmoid with { Scale = 2.5f, GroupCount = 4, TopGroups = 2 }),
        ["deepseek-v4"] = ("DeepSeek-V4", Sigmoid with { Score = MoeRouterScore.SqrtSoftplus, Scale = 1.5f }),
        ["deepseek-v4-native"] = ("DeepSeek-V4", Sigmoid with { Score = MoeRouterScore.SqrtSoftplus, Scale = 1.5f }),
        ["ernie4.5-moe"] = ("ERNIE-4.5", new MoeRouter { Renormalize = true, Epsilon = 1e-12f, EpsilonIsFloor = true, HasSelectionBias = true }),
        ["glm4-moe"] = ("GLM-4.5/5", Sigmoid with { Scale = 2.5f }),
        ["glm4-moe-quark"] = ("GLM-4.5/5", Sigmoid with { Scale = 2.5f }),
        ["gpt-oss"] = ("GPT-OSS", MoeRouter.TopKThenSoftmax with { HasLogitBias = true }),
        ["granite-moe"] = ("Granite-MoE", MoeRouter.TopKThenSoftmax),
        ["hy3"] = ("Hy3", Sigmoid with { Scale = 2.826f }),
        ["lfm2-moe"] = ("LFM2-MoE", Sigmoid with { Epsilon = 1e-6f }),
        ["llama4"] = ("Llama-4", new MoeRouter { Score = MoeRouterScore.Sigmoid, WeightOn = MoeWeightOn.Input }),
        ["minimax-m2"] = ("MiniMax-M2", Sigmoid with { Epsilon = 0 }),
        ["minimax-m3"] = ("MiniMax-M3", Sigmoid with { Epsilon = 0, Scale = 2 }),
        ["mixtral"] = ("Mixtral", MoeRouter.SoftmaxThenTopKRenormalized),
        ["nemotron-h"] = ("Nemotron-3", Sigmoid with { Scale = 2.5f }),
        ["olmoe"] = ("OLMoE", MoeRouter.SoftmaxThenTopK),
        ["phimoe"] = ("Phi-3.5-MoE", MoeRouter.SoftmaxThenTopK),
        ["qwen2-moe"] = ("Qwen2/3-MoE", MoeRouter.SoftmaxThenTopK),
        ["qwen3-moe"] = ("Qwen2/3-MoE", MoeRouter.SoftmaxThenTopKRenormalized),
        ["qwen3-moe-compressed-tensors"] = ("Qwen2/3-MoE", MoeRouter.SoftmaxThenTopKRenormalized),
        ["qwen3-next"] = ("Qwen2/3-MoE", MoeRouter.SoftmaxThenTopKRenormalized),
        ["qwen3.5-moe"] = ("Qwen3.5-MoE", MoeRouter.SoftmaxThenTopKRenormalized),
    };

    public static TheoryData<string> Names => [.. FamilyGolden.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public void The_router_is_the_family_s(string name)
    {
        using FamilyGolden golden = FamilyGolden.Open(name);
        CheckpointLayer layer = golden.Layer;
        Assert.Equal(Expected[name], (layer.Family, layer.Shape.Router));
        Assert.Equal((96, 64, 8), (layer.Shape.HiddenSize, layer.Shape.IntermediateSize, layer.Shape.ExpertCount));

        // In BF16 most of a bias that tells experts apart is gone.
        Assert.Equal(layer.Shape.Router.HasSelectionBias ? MoeElementType.Float32 : null, layer.Source.SelectionBias?.ElementType);
        Assert.Equal(name == "phimoe", layer.CallerRoutes is not null);
        Assert.Equal(name == "phimoe", layer.Source.RouterWeight is null);
    }

    [Theory]
    [InlineData("gpt-oss", 1.702f, 1, 7)]
    [InlineData("minimax-m3", 1.702f, 1, 7)]
    [InlineData("deepseek-v4", 1, 0, 1.5f)]
    [InlineData("qwen3-moe", 1, 0, float.PositiveInfinity)]
    public void Constants_of_the_activation_are_not_dropped(string name, float alpha, float beta, float limit)
    {
        using FamilyGolden golden = FamilyGolden.Open(name);
        var expected = MoeActivation.Glu(MoeGluFunction.Silu, alpha, beta, limit);
        Assert.Equal(expected, golden.Layer.Shape.Activation);
        Assert.Equal(golden.Layer.Shape.Shared?.Activation ?? expected, golden.Layer.Shape.Activation);
    }

    [Fact]
    public void A_layer_that_looks_experts_up_by_token_has_its_table()
    {
        using FamilyGolden golden = FamilyGolden.Open("deepseek-v4-native");
        CheckpointLayer layer = golden.Checkpoint.MoeLayers[0];
        Assert.Equal((0, MoeRouterChoice.TokenTable), (layer.Index, layer.Shape.Router.Choice));
        Assert.False(layer.Shape.Router.HasSelectionBias);
        Assert.Equal((MoeElementType.Int64, 96, 3), (layer.Source.TokenTable!.ElementType, layer.Source.TokenTable.Rows, layer.Source.TokenTable.Columns));
    }
}
