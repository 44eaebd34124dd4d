namespace Moe.Plugins.Checkpoints;

internal static partial class MoeFamilies
{
    /// <summary>MiniMax-M2 (transformers, <c>models/minimax_m2/modeling_minimax_m2.py</c>): no epsilon and no scale.</summary>
    private static MoeFamily MiniMaxM2 => new()
    {
        Name = "MiniMax-M2",
        ModelTypes = ["minimax_m2"],
        Blocks = ["block_sparse_moe", "mlp"],
        SelectionBiases = ["e_score_correction_bias", "gate.e_score_correction_bias"],
        WidthKeys = ["intermediate_size"],
        Router = MiniMaxRouter,
    };

    /// <summary>
    /// MiniMax-M3 (<c>models/minimax_m3_vl/modeling_minimax_m3_vl.py</c>): GPT-OSS's activation in routed and shared experts, whatever
    /// <c>hidden_act</c> says. The scale of the experts' sum is one of their weights.
    /// </summary>
    private static MoeFamily MiniMaxM3 => MiniMaxM2 with
    {
        Name = "MiniMax-M3",
        ModelTypes = ["minimax_m3_vl", "minimax_m3"],
        Shared = ["shared_experts"],
        Router = config => MiniMaxRouter(config) with { Scale = config.Factor("routed_scaling_factor") ?? 1 },
        Activation = Activations.SwiGluOai,
        IsDense = config => DenseRules.Listed(config) ?? false,
    };

    private static MoeRouter MiniMaxRouter(LayerConfig config)
    {
        string score = config.Text("scoring_func") ?? "sigmoid";
        return score == "sigmoid"
            ? new MoeRouter { Score = MoeRouterScore.Sigmoid, Renormalize = true, HasSelectionBias = config.Flag("use_routing_bias") ?? true }
            : throw config.Unknown("scoring_func", score, "sigmoid");
    }
}
