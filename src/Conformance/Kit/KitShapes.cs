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
            HasRouterBias = false,
            RouterScoring = MoeRouterScoring.SoftmaxThenTopK,
        },
        new()
        {
            HiddenSize = 160,
            IntermediateSize = 224,
            ExpertCount = 40,
            TopK = 8,
            Activation = MoeActivation.SwiGluOai(1.3f, 2f),
            RouterScoring = MoeRouterScoring.SoftmaxThenTopKRenormalized,
        },
    ];

    /// <summary>Each with MXFP4 and with BF16 weights.</summary>
    public static IReadOnlyList<MoeLayerShape> All { get; } =
        [.. Own, .. Own.Select(shape => shape with { WeightFormat = MoeWeightFormat.BFloat16 })];

    public static string Describe(MoeLayerShape shape) =>
        $"{shape.WeightFormat} hidden {shape.HiddenSize}, intermediate {shape.IntermediateSize}, {shape.ExpertCount} experts, top-{shape.TopK}";
}
