namespace Moe.Plugins.Checkpoints;

internal static partial class MoeFamilies
{
    /// <summary>
    /// Nemotron-3 (transformers, <c>models/nemotron_h/modeling_nemotron_h.py</c>): two matrices an expert, no gate; in the larger ones experts are
    /// latent.
    /// </summary>
    private static MoeFamily Nemotron => new()
    {
        Name = "Nemotron-3",
        ModelTypes = ["nemotron_h"],
        Blocks = ["mixer"],
        SelectionBiases = ["gate.e_score_correction_bias"],
        Shared = ["shared_experts"],
        Latent = new LatentNames("fc1_latent_proj", "fc2_latent_proj", Norm: null, ["moe_latent_size"]),
        Router = Routers.Sigmoid,
        Activation = config => config.Text("mlp_hidden_act") is null or "relu2"
            ? MoeActivation.ReluSquared
            : throw config.Unknown("mlp_hidden_act", config.Text("mlp_hidden_act")!, "relu2"),
        IsDense = NemotronIsDense,
    };

    private static bool NemotronIsDense(LayerConfig config)
    {
        // The older configs have a letter for each layer, E for experts.
        string? pattern = config.Text("hybrid_override_pattern");
        string? kind = config.Text("layers_block_type") ?? (pattern is not null && config.Layer < pattern.Length ? pattern[config.Layer].ToString() : null);
        return kind is not (null or "moe" or "E");
    }
}
