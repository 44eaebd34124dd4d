namespace Moe.Plugins.Checkpoints;

/// <summary>Router programs that several families share; what is one family's own stands in its file.</summary>
internal static class Routers
{
    /// <summary>Added to the sum of weights in transformers' routers with sigmoid scores (<c>models/deepseek_v3/modeling_deepseek_v3.py</c>).</summary>
    public const float Epsilon = 1e-20f;

    /// <summary>
    /// Softmax over all experts, the weights divided by their sum where <c>norm_topk_prob</c> says so: an absent key does not (transformers,
    /// <c>models/qwen3_moe/configuration_qwen3_moe.py</c>).
    /// </summary>
    public static MoeRouter Softmax(LayerConfig config) =>
        config.Flag("norm_topk_prob") == true ? MoeRouter.SoftmaxThenTopKRenormalized : MoeRouter.SoftmaxThenTopK;

    /// <summary>
    /// Sigmoid scores with a selection bias in groups of experts: DeepSeek-V3's router (<c>models/deepseek_v3/modeling_deepseek_v3.py</c>),
    /// whose groups are worth the sum of their two best.
    /// </summary>
    public static MoeRouter Sigmoid(LayerConfig config) => Grouped(config, "n_group", "topk_group") with
    {
        Score = MoeRouterScore.Sigmoid,
        Renormalize = config.Flag("norm_topk_prob") ?? true,
        Epsilon = Epsilon,
        Scale = config.Factor("routed_scaling_factor") ?? 1,
        HasSelectionBias = true,
    };

    /// <summary>A softmax router in groups; no number of groups stated is one.</summary>
    public static MoeRouter Grouped(LayerConfig config, string groups, string topGroups)
    {
        int count = config.Whole(0, groups) is > 0 and var stated ? stated : 1;
        int kept = config.Whole(0, topGroups) is > 0 and var top ? top : 1;
        return new MoeRouter
        {
            GroupCount = count,
            TopGroups = count == 1 ? 1 : kept,
        };
    }
}
