namespace Moe.Plugins.Checkpoints;

internal static partial class MoeFamilies
{
    /// <summary>Qwen2-MoE, Qwen3-MoE and Qwen3-Next (transformers, <c>models/qwen3_next/modeling_qwen3_next.py</c>).</summary>
    private static MoeFamily Qwen => new()
    {
        Name = "Qwen2/3-MoE",
        ModelTypes = ["qwen2_moe", "qwen3_moe", "qwen3_next", "qwen3_omni_moe_thinker"],
        Shared = ["shared_expert"],
        SharedGate = "shared_expert_gate.weight",
        Router = Routers.Softmax,
        IsDense = QwenIsDense,
    };

    /// <summary>Qwen3-VL-MoE: one tensor for all experts, its rows the inputs (vLLM, <c>models/qwen3_vl_moe.py</c>).</summary>
    private static MoeFamily QwenVision => Qwen with
    {
        Name = "Qwen3-VL-MoE",
        ModelTypes = ["qwen3_vl_moe"],
        FusedOrder = MoeMatrixOrder.InputMajor,
    };

    /// <summary>
    /// Qwen3.5 to 3.8: weights are always divided by their sum, whatever <c>norm_topk_prob</c> says, and all layers have experts
    /// (<c>models/qwen3_5_moe/modeling_qwen3_5_moe.py</c>).
    /// </summary>
    private static MoeFamily Qwen35 => Qwen with
    {
        Name = "Qwen3.5-MoE",
        ModelTypes = ["qwen3_5_moe", "qwen3_8_flash_next", "qwen4_exp"],
        Router = _ => MoeRouter.SoftmaxThenTopKRenormalized,
        IsDense = null,
    };

    private static bool QwenIsDense(LayerConfig config) =>
        config.Numbers("mlp_only_layers")?.Contains(config.Layer) == true
        || (config.Layer + 1) % (config.Whole(1, "decoder_sparse_step") ?? 1) != 0;
}
