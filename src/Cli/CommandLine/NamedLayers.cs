namespace Moe.Plugins.Cli;

/// <summary>
/// Layers of models that people run, by name: sizes, router and activation as published (docs/checkpoints.md has the families). Shared experts and
/// latent projections are BF16 but for DeepSeek-V4's, whose shared experts are FP8. Where the constant of a clamp or a norm is not published it is its
/// family's: no time depends on it.
/// </summary>
internal static class NamedLayers
{
    private static readonly MoeRouter Softmax = MoeRouter.SoftmaxThenTopKRenormalized;
    private static readonly MoeRouter Sigmoid = new() { Score = MoeRouterScore.Sigmoid, HasSelectionBias = true, Renormalize = true };
    private static readonly MoeRouter DeepSeek4 = Sigmoid with { Score = MoeRouterScore.SqrtSoftplus, Scale = 1.5f };
    private static readonly MoeActivation Silu = MoeActivation.SiluGated;
    private static readonly MoeActivation Clamped = MoeActivation.Glu(MoeGluFunction.Silu, limit: 10);

    /// <summary>The names, in the order in which they are listed.</summary>
    public static IReadOnlyList<string> Names => [.. All.Keys];

    private static Dictionary<string, MoeLayerShape> All { get; } = new(StringComparer.OrdinalIgnoreCase)
    {
        ["gpt-oss-20b"] = MoeLayerShape.GptOss20B,
        ["gpt-oss-120b"] = MoeLayerShape.GptOss120B,
        ["deepseek-v3"] = Layer(7168, 2048, 256, 8, Sigmoid with { GroupCount = 8, TopGroups = 4, Epsilon = 1e-20f, Scale = 2.5f }, Silu, 2048),
        ["deepseek-v4-flash"] = Layer(4096, 2048, 256, 6, DeepSeek4, Clamped, 2048, MoeWeightFormat.Fp8Block),
        ["deepseek-v4-pro"] = Layer(7168, 3072, 384, 6, DeepSeek4 with { Scale = 2.5f }, Clamped, 3072, MoeWeightFormat.Fp8Block),
        ["deepseek-v4.1-flash"] = Layer(5120, 2304, 384, 6, DeepSeek4, Clamped, 2304, MoeWeightFormat.Fp8Block),
        ["glm-4.5"] = Layer(5120, 1536, 160, 8, Sigmoid with { Scale = 2.5f }, Silu, 1536),
        ["glm-5"] = Layer(6144, 2048, 256, 8, Sigmoid with { Scale = 2.5f }, Silu, 2048),
        ["glm-5.3-flash"] = Layer(4096, 2048, 288, 8, Sigmoid with { Scale = 2.5f }, Clamped, 2048),
        ["kimi-k2"] = Layer(7168, 2048, 384, 8, Sigmoid with { Scale = 2.827f }, Silu, 2048),
        ["kimi-k3"] = Layer(7168, 3072, 896, 16, Sigmoid, MoeActivation.SiTu(4, 25), 6144) with { Latent = new() { Width = 3584, NormEpsilon = 1e-5f } },
        ["llama-4-scout"] = Layer(
            5120, 8192, 16, 1, new() { Score = MoeRouterScore.Sigmoid, WeightOn = MoeWeightOn.Input }, Silu, 8192),
        ["minimax-m2"] = Layer(3072, 1536, 256, 8, Sigmoid, Silu),
        ["minimax-m3"] = Layer(6144, 3072, 128, 4, Sigmoid with { Scale = 2 }, MoeActivation.SwiGluOai(), 3072),
        ["mixtral-8x7b"] = Layer(4096, 14336, 8, 2, Softmax, Silu),
        ["nemotron-3-super"] = Layer(4096, 2688, 512, 22, Sigmoid with { Scale = 5 }, MoeActivation.ReluSquared, 5376) with { Latent = new() { Width = 1024 } },
        ["nemotron-3-ultra"] = Layer(8192, 5120, 512, 22, Sigmoid with { Scale = 5 }, MoeActivation.ReluSquared, 10240) with { Latent = new() { Width = 2048 } },
        ["qwen3-30b-a3b"] = Layer(2048, 768, 128, 8, Softmax, Silu),
        ["qwen3.5-397b-a17b"] = Gated(Layer(4096, 1024, 512, 10, Softmax, Silu, 1024)),
        ["qwen3.6-35b-a3b"] = Gated(Layer(2048, 512, 256, 8, Softmax, Silu, 512)),
        ["qwen3.8-2.4t"] = Gated(Layer(8192, 2048, 512, 10, Softmax, Silu, 2048)),
        ["qwen3.8-flash-next"] = Gated(Layer(2560, 640, 512, 10, Softmax, Silu, 640)),
    };

    /// <summary>The layer of that name, with MXFP4 experts; null where there is none.</summary>
    public static MoeLayerShape? Find(string name) => All.GetValueOrDefault(name);

    /// <summary>The name of a layer of any weight format; null where it has none.</summary>
    public static string? NameOf(MoeLayerShape shape)
    {
        MoeLayerShape own = shape with { WeightFormat = MoeWeightFormat.Mxfp4 };
        return All.FirstOrDefault(named => named.Value == own).Key;
    }

    private static MoeLayerShape Layer(
        int hidden,
        int intermediate,
        int experts,
        int topK,
        MoeRouter router,
        MoeActivation activation,
        int shared = 0,
        MoeWeightFormat sharedFormat = MoeWeightFormat.BFloat16) => new()
        {
            HiddenSize = hidden,
            IntermediateSize = intermediate,
            ExpertCount = experts,
            TopK = topK,
            Router = router,
            Activation = activation,
            HasExpertBias = false,
            Shared = shared == 0 ? null : new() { IntermediateSize = shared, WeightFormat = sharedFormat, Activation = activation },
        };

    private static MoeLayerShape Gated(MoeLayerShape shape) => shape with { Shared = shape.Shared! with { HasGate = true } };
}
