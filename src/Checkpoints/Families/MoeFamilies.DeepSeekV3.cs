namespace Moe.Plugins.Checkpoints;

internal static partial class MoeFamilies
{
    /// <summary>
    /// DeepSeek-V3 and what is built like it: R1, V3.2, Kimi-K2, GLM-4.5 to 5, dots.1 (transformers,
    /// <c>models/deepseek_v3/modeling_deepseek_v3.py</c>, <c>models/glm4_moe/modeling_glm4_moe.py</c>).
    /// </summary>
    private static MoeFamily DeepSeekV3 => new()
    {
        Name = "DeepSeek-V3",
        ModelTypes = ["deepseek_v3", "deepseek_v32", "kimi_k2", "kimi_k25"],
        SelectionBiases = ["gate.e_score_correction_bias"],
        Shared = ["shared_experts"],
        Router = DeepSeekV3Router,
        IsDense = DenseRules.FirstLayers,
    };

    /// <summary>GLM-4.5 to 5.3, whose latest clamps (<c>swiglu_limit</c>).</summary>
    private static MoeFamily Glm => DeepSeekV3 with
    {
        Name = "GLM-4.5/5",
        ModelTypes = ["glm4_moe", "glm4_moe_lite", "glm4v_moe", "glm_moe_dsa", "glm5_next"],
    };

    /// <summary>Other models with DeepSeek-V3's router and names (MiMo-V2, dots.1, EXAONE, Solar-Open).</summary>
    private static MoeFamily LikeDeepSeekV3 => DeepSeekV3 with
    {
        Name = "DeepSeek-V3's kind",
        ModelTypes = ["mimo_v2_flash", "dots1", "exaone_moe", "solar_open"],
        SelectionBiases = ["gate.e_score_correction_bias", "e_score_correction_bias"],
    };

    private static MoeRouter DeepSeekV3Router(LayerConfig config)
    {
        string score = config.Text("scoring_func") ?? "sigmoid";
        string method = config.Text("topk_method") ?? "noaux_tc";

        // dots.1's published config has the method's name for the scores too; they are sigmoid's (llama.cpp, convert_hf_to_gguf.py, Dots1Model).
        return (score, method) is ("sigmoid" or "noaux_tc", "noaux_tc")
            ? Routers.Sigmoid(config)
            : throw config.Unknown("scoring_func and topk_method", $"{score} and {method}", "sigmoid and noaux_tc");
    }
}
