namespace Moe.Plugins.Checkpoints;

internal static partial class MoeFamilies
{
    /// <summary>ERNIE-4.5 (transformers, <c>models/ernie4_5_moe/modeling_ernie4_5_moe.py</c>): softmax scores, chosen with a bias.</summary>
    private static MoeFamily Ernie => new()
    {
        Name = "ERNIE-4.5",
        ModelTypes = ["ernie4_5_moe"],
        SelectionBiases = ["moe_statics.e_score_correction_bias"],
        Shared = ["shared_experts"],
        Router = config => new MoeRouter
        {
            Renormalize = true,
            Epsilon = config.Factor("moe_norm_min") ?? 1e-12f,
            EpsilonIsFloor = true,
            HasSelectionBias = true,
        },
        IsDense = ErnieIsDense,
    };

    private static bool ErnieIsDense(LayerConfig config)
    {
        // -1 stands for the last layer, which is no number that a bound could be.
        int last = config.Text("moe_layer_end_index") is null or "-1" ? int.MaxValue : config.Whole(0, "moe_layer_end_index")!.Value;
        return config.Layer < (config.Whole(0, "moe_layer_start_index") ?? 0)
            || config.Layer > last
            || (config.Layer + 1) % (config.Whole(1, "moe_layer_interval") ?? 1) != 0;
    }
}
