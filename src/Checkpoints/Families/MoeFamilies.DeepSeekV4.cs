namespace Moe.Plugins.Checkpoints;

internal static partial class MoeFamilies
{
    /// <summary>
    /// DeepSeek-V4 and V4.1 in the names of their own <c>inference/model.py</c>. The first layers look experts up by token id. V4.1's second bias,
    /// for tokens of images, stays with the caller.
    /// </summary>
    private static MoeFamily DeepSeekV4 => new()
    {
        Name = "DeepSeek-V4",
        ModelTypes = ["deepseek_v4", "deepseek_v41"],
        Blocks = ["ffn", "mlp"],
        SelectionBiases = ["gate.bias", "gate.e_score_correction_bias"],
        TokenTable = "gate.tid2eid",
        Shared = ["shared_experts"],
        Router = DeepSeekV4Router,

        // Builds with vision carry a bias in layers that choose by token.
        Ignored = ["gate.bias", "gate.bias_vl", "gate.e_score_correction_bias"],
    };

    private static MoeRouter DeepSeekV4Router(LayerConfig config)
    {
        string score = config.Text("scoring_func") ?? "sqrtsoftplus";
        bool isHashed = config.Has("gate.tid2eid");
        bool? isStated = config.Text("mlp_layer_types") is string type ? type == "hash_moe"
            : config.Whole(0, "num_hash_layers") is int count ? config.Layer < count : null;
        if (isStated is bool stated && stated != isHashed)
        {
            throw config.Unknown(
                "num_hash_layers or mlp_layer_types",
                stated ? "a layer that looks experts up by token" : "a layer that chooses by score",
                isHashed ? "a layer of the first kind, for its tensors have a table," : "a layer of the second kind, for its tensors have no table,");
        }

        return new MoeRouter
        {
            Score = score switch
            {
                "sqrtsoftplus" => MoeRouterScore.SqrtSoftplus,
                "sigmoid" => MoeRouterScore.Sigmoid,
                "softmax" => MoeRouterScore.Softmax,
                _ => throw config.Unknown("scoring_func", score, "sqrtsoftplus, sigmoid or softmax"),
            },
            Renormalize = config.Flag("norm_topk_prob") ?? true,
            Epsilon = Routers.Epsilon,
            Scale = config.Factor("routed_scaling_factor") ?? 1,
            Choice = isHashed ? MoeRouterChoice.TokenTable : MoeRouterChoice.TopK,
            HasSelectionBias = !isHashed,
        };
    }
}
