namespace Moe.Plugins.Checkpoints;

internal static partial class MoeFamilies
{
    /// <summary>
    /// Ling and Ring, 2 to 3 (vLLM, <c>models/bailing_moe.py</c>, <c>models/bailing_moe_v3.py</c>). Scores are softmax without a selection bias or
    /// sigmoid with one; 3.0 has bounds behind SiLU in some layers.
    /// </summary>
    private static MoeFamily Ling => new()
    {
        Name = "Ling-2/3",
        ModelTypes =
        [
            "bailing_moe", "bailing_moe_v2", "bailing_moe_v2_5", "bailing_moe_linear", "bailing_moe_linear_v2", "bailing_moe_v3", "bailing_hybrid",
        ],
        SelectionBiases = ["gate.expert_bias"],
        Shared = ["shared_experts"],
        Router = LingRouter,
        Activation = config => Activations.SiluThenClamp(config, "expert_swiglu_limit_list"),
        SharedActivation = config => Activations.SiluThenClamp(config, "share_expert_swiglu_limit_list"),
        IsDense = DenseRules.FirstLayers,
    };

    private static MoeRouter LingRouter(LayerConfig config)
    {
        bool hasBias = config.Has("gate.expert_bias");
        if (config.Flag("moe_router_enable_expert_bias") is bool stated && stated != hasBias)
        {
            throw config.Unknown("moe_router_enable_expert_bias", stated ? "true" : "false", hasBias ? "true, for the layer has one," : "false, for the layer has none,");
        }

        string score = config.Text("score_function", "scoring_func") ?? (hasBias ? "sigmoid" : "softmax");
        if ((score, hasBias) is not (("softmax", false) or ("sigmoid", true)))
        {
            throw config.Unknown("score_function", $"{score} {(hasBias ? "with" : "without")} gate.expert_bias", "softmax without or sigmoid with one");
        }

        return Routers.Grouped(config, "n_group", "topk_group") with
        {
            Score = hasBias ? MoeRouterScore.Sigmoid : MoeRouterScore.Softmax,
            GroupRule = hasBias ? MoeGroupRule.SumOfTopTwo : MoeGroupRule.Max,
            Renormalize = config.Flag("norm_topk_prob") ?? true,
            Epsilon = Routers.Epsilon,
            Scale = config.Factor("routed_scaling_factor") ?? 1,
            HasSelectionBias = hasBias,
        };
    }
}
