namespace Moe.Plugins.Checkpoints;

/// <summary>Activations as configs state them; what is one family's own stands in its file.</summary>
internal static class Activations
{
    private static readonly MoeActivation Oai = MoeActivation.SwiGluOai();

    /// <summary>
    /// The activation that the config names, with all constants that it states. A bound under <c>swiglu_limit</c> holds before SiLU (DeepSeek-V4's
    /// <c>inference/model.py</c>); those that hold behind it have other names, and belong to families of their own.
    /// </summary>
    public static MoeActivation Stated(LayerConfig config)
    {
        string name = config.Text("hidden_act", "hidden_activation", "mlp_hidden_act") ?? "silu";
        if (config.Limit("swiglu_limits") is not null || config.Limit("expert_swiglu_limit_list") is not null)
        {
            throw config.Unknown("a list of bounds for each layer", "an activation that this family does not have", "none");
        }

        return name switch
        {
            "silu" or "swish" or "swiglu" => Silu(config),
            "swigluoai" => SwiGluOai(config),
            "gelu_pytorch_tanh" or "gelu_tanh" => MoeActivation.GeluTanhGated,
            "relu2" => MoeActivation.ReluSquared,
            "situ" => MoeActivation.SiTu(
                config.Factor("activation_situ_beta") ?? throw config.Missing("activation_situ_beta"),
                config.Factor("activation_situ_linear_beta") ?? float.PositiveInfinity),
            _ => throw config.Unknown("hidden_act", name, "silu, swigluoai, gelu_pytorch_tanh, relu2 or situ"),
        };
    }

    /// <summary>SiLU with the constants that are stated, and none where none are.</summary>
    public static MoeActivation Silu(LayerConfig config) => MoeActivation.Glu(
        MoeGluFunction.Silu,
        config.Factor("swiglu_alpha") ?? 1,
        config.Limit("swiglu_beta") ?? 0,
        config.Limit("swiglu_limit") ?? float.PositiveInfinity);

    /// <summary>GPT-OSS's, with the constants that are stated, and its own where they are not.</summary>
    public static MoeActivation SwiGluOai(LayerConfig config) => MoeActivation.Glu(
        MoeGluFunction.Silu,
        config.Factor("swiglu_alpha") ?? Oai.Alpha,
        config.Limit("swiglu_beta") ?? Oai.Beta,
        config.Limit("swiglu_limit") ?? Oai.Limit);

    /// <summary>SiLU with a bound behind it, the layer's entry of a list; 0 and no entry stand for none.</summary>
    public static MoeActivation SiluThenClamp(LayerConfig config, string list) => MoeActivation.Glu(
        MoeGluFunction.Silu,
        limit: config.Limit(list) ?? float.PositiveInfinity,
        clampsAfter: config.Limit(list) is not null);
}
