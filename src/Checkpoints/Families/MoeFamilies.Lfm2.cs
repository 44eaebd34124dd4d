namespace Moe.Plugins.Checkpoints;

internal static partial class MoeFamilies
{
    /// <summary>LFM2-MoE (transformers, <c>models/lfm2_moe/modeling_lfm2_moe.py</c>).</summary>
    private static MoeFamily Lfm2 => new()
    {
        Name = "LFM2-MoE",
        ModelTypes = ["lfm2_moe"],
        Blocks = ["feed_forward"],
        SelectionBiases = ["expert_bias"],
        Router = config => new MoeRouter
        {
            Score = MoeRouterScore.Sigmoid,
            Renormalize = config.Flag("norm_topk_prob") ?? true,
            Epsilon = 1e-6f,
            Scale = config.Factor("routed_scaling_factor") ?? 1,
            HasSelectionBias = config.Flag("use_expert_bias") ?? true,
        },
        IsDense = config => config.Layer < (config.Whole(0, "num_dense_layers") ?? 0),
    };
}
