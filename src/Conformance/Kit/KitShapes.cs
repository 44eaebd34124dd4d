namespace Moe.Plugins.Conformance;

/// <summary>The layers that the kit checks with: small, and with sizes that no power of two divides.</summary>
internal static class KitShapes
{
    /// <summary>The most tokens of a forward, unless a rule says otherwise.</summary>
    public const int MaxTokens = 64;

    private static readonly MoeLayerShape[] Own =
    [
        new() { HiddenSize = 288, IntermediateSize = 352, ExpertCount = 8, TopK = 4 },
        new()
        {
            HiddenSize = 96,
            IntermediateSize = 32,
            ExpertCount = 5,
            TopK = 1,
            Activation = MoeActivation.SiluGated,
            HasExpertBias = false,
            Router = MoeRouter.SoftmaxThenTopK,
        },
        new()
        {
            HiddenSize = 160,
            IntermediateSize = 224,
            ExpertCount = 40,
            TopK = 8,
            Activation = MoeActivation.SwiGluOai(1.3f, 2f),
            Router = MoeRouter.SoftmaxThenTopKRenormalized with { HasLogitBias = true },
        },
        new()
        {
            // As DeepSeek-V3: groups, a selection bias, a scale, a shared expert.
            HiddenSize = 160,
            IntermediateSize = 96,
            ExpertCount = 16,
            TopK = 4,
            Activation = MoeActivation.SiluGated,
            HasExpertBias = false,
            Router = new()
            {
                Score = MoeRouterScore.Sigmoid,
                Renormalize = true,
                Epsilon = 1e-20f,
                Scale = 2.5f,
                GroupCount = 4,
                TopGroups = 2,
                HasSelectionBias = true,
            },
            Shared = new() { IntermediateSize = 64, WeightFormat = MoeWeightFormat.BFloat16, Activation = MoeActivation.SiluGated },
        },
        new()
        {
            // As Kimi-K3: latent experts with a norm, SiTU, a shared expert with a gate.
            HiddenSize = 128,
            IntermediateSize = 96,
            ExpertCount = 12,
            TopK = 3,
            Activation = MoeActivation.SiTu(4, 25),
            HasExpertBias = false,
            Router = new() { Score = MoeRouterScore.Sigmoid, Renormalize = true, HasSelectionBias = true },
            Latent = new() { Width = 64, NormEpsilon = 1e-5f },
            Shared = new() { IntermediateSize = 96, WeightFormat = MoeWeightFormat.BFloat16, Activation = MoeActivation.SiTu(4, 25), HasGate = true },
        },
        new()
        {
            // As Nemotron-3: no gates, and a first product of one row per neuron.
            HiddenSize = 96,
            IntermediateSize = 160,
            ExpertCount = 24,
            TopK = 22,
            Activation = MoeActivation.ReluSquared,
            HasExpertBias = false,
            Router = new() { Score = MoeRouterScore.Sigmoid, Renormalize = true, Scale = 5, HasSelectionBias = true },
            Latent = new() { Width = 32 },
            Shared = new() { IntermediateSize = 64, WeightFormat = MoeWeightFormat.BFloat16, Activation = MoeActivation.ReluSquared },
        },
        new()
        {
            // As Llama-4: the weight multiplies the expert's input.
            HiddenSize = 96,
            IntermediateSize = 64,
            ExpertCount = 6,
            TopK = 1,
            Activation = MoeActivation.SiluGated,
            HasExpertBias = false,
            Router = new() { Score = MoeRouterScore.Sigmoid, WeightOn = MoeWeightOn.Input },
        },
        new()
        {
            // As DeepSeek-V4's first layers: experts by token id, clamped SiLU.
            HiddenSize = 64,
            IntermediateSize = 96,
            ExpertCount = 8,
            TopK = 3,
            Activation = MoeActivation.Glu(MoeGluFunction.Silu, limit: 1.5f),
            HasExpertBias = false,
            Router = new() { Score = MoeRouterScore.SqrtSoftplus, Renormalize = true, Scale = 1.5f, Choice = MoeRouterChoice.TokenTable },
        },
        new()
        {
            // As DeepSeek-V2 with Step-3.7's clamp: groups by their best, clamped after SiLU.
            HiddenSize = 96,
            IntermediateSize = 64,
            ExpertCount = 12,
            TopK = 4,
            Activation = MoeActivation.Glu(MoeGluFunction.Silu, limit: 0.5f, clampsAfter: true),
            HasExpertBias = false,
            Router = new() { Scale = 16, GroupCount = 3, TopGroups = 1, GroupRule = MoeGroupRule.Max },
        },
        new()
        {
            HiddenSize = 64,
            IntermediateSize = 64,
            ExpertCount = 4,
            TopK = 2,
            Activation = MoeActivation.GeluTanhGated,
            Router = new() { Renormalize = true, Epsilon = 1e-12f, EpsilonIsFloor = true, HasSelectionBias = true },
        },
    ];

    /// <summary>Each with MXFP4 and with BF16 weights.</summary>
    public static IReadOnlyList<MoeLayerShape> All { get; } =
        [.. Own, .. Own.Select(shape => shape with { WeightFormat = MoeWeightFormat.BFloat16 })];

    public static string Describe(MoeLayerShape shape) =>
        $"{shape.WeightFormat} hidden {shape.HiddenSize}, intermediate {shape.IntermediateSize}, {shape.ExpertCount} experts, top-{shape.TopK}";
}
