namespace Moe.Plugins.Checkpoints;

internal static partial class MoeFamilies
{
    /// <summary>Hy3 (transformers, <c>models/hy_v3/modeling_hy_v3.py</c>).</summary>
    private static MoeFamily Hy3 => new()
    {
        Name = "Hy3",
        ModelTypes = ["hy_v3"],
        RouterWeights = ["router.gate.weight", "gate.weight"],
        SelectionBiases = ["expert_bias", "e_score_correction_bias"],
        Shared = ["shared_mlp", "shared_experts"],
        Router = config => new MoeRouter
        {
            Score = MoeRouterScore.Sigmoid,
            Renormalize = true,
            Epsilon = Routers.Epsilon,
            Scale = config.Factor("router_scaling_factor") ?? throw config.Missing("router_scaling_factor"),
            HasSelectionBias = true,
        },
        IsDense = DenseRules.FirstLayers,
    };

    /// <summary>Hunyuan-A13B (<c>models/hunyuan_v1_moe/modeling_hunyuan_v1_moe.py</c>): weights are always divided by their sum.</summary>
    private static MoeFamily HunyuanV1 => new()
    {
        Name = "Hunyuan-V1",
        ModelTypes = ["hunyuan_v1_moe"],
        RouterWeights = ["gate.wg.weight"],
        Shared = ["shared_mlp"],
        SharedKeys = ["num_shared_expert"],
        Router = _ => MoeRouter.SoftmaxThenTopKRenormalized,
    };
}
