namespace Moe.Plugins.Checkpoints;

internal static partial class MoeFamilies
{
    /// <summary>
    /// Kimi-Linear and Kimi-K3, which says of its language model that it is the former (vLLM, <c>models/kimi_k3/nvidia/model.py</c>). K3's
    /// experts are latent, with a norm behind their sum, and its activation is SiTU.
    /// </summary>
    private static MoeFamily Kimi => new()
    {
        Name = "Kimi-Linear/K3",
        ModelTypes = ["kimi_linear", "kimi_k3"],
        Blocks = ["block_sparse_moe", "mlp"],
        SelectionBiases = ["gate.e_score_correction_bias"],
        Shared = ["shared_experts"],
        Latent = new LatentNames(
            "routed_expert_down_proj", "routed_expert_up_proj", "routed_expert_norm.weight", ["routed_expert_hidden_size"]),
        Router = KimiRouter,
        IsDense = config => DenseRules.FirstLayers(config) || config.Layer % (KimiFrequency(config) ?? 1) != 0,
    };

    private static MoeRouter KimiRouter(LayerConfig config)
    {
        string score = config.Text("moe_router_activation_func", "scoring_func") ?? "sigmoid";
        return Routers.Grouped(config, "num_expert_group", "topk_group") with
        {
            Score = score switch
            {
                "sigmoid" => MoeRouterScore.Sigmoid,
                "softmax" => MoeRouterScore.Softmax,
                _ => throw config.Unknown("moe_router_activation_func", score, "sigmoid or softmax"),
            },
            Renormalize = config.Flag("moe_renormalize", "norm_topk_prob") ?? true,
            Epsilon = Routers.Epsilon,
            Scale = config.Factor("routed_scaling_factor") ?? 1,
            HasSelectionBias = true,
        };
    }

    private static int? KimiFrequency(LayerConfig config) => config.Numbers("moe_layer_freq") is null ? config.Whole(1, "moe_layer_freq") : null;
}
