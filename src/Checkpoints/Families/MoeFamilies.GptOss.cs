namespace Moe.Plugins.Checkpoints;

internal static partial class MoeFamilies
{
    /// <summary>
    /// GPT-OSS in the names of transformers (<c>models/gpt_oss/modeling_gpt_oss.py</c>), MXFP4 or not, stacked or an expert each, and in those
    /// of <c>original/</c> (openai/gpt-oss, <c>gpt_oss/torch/weights.py</c>). Gates and ups are interleaved in all of them.
    /// </summary>
    private static MoeFamily GptOss => new()
    {
        Name = "GPT-OSS",
        ModelTypes = ["gpt_oss"],
        Layers = ["layers", "block"],
        BareExperts = ["mlp1_weight", "mlp2_weight"],
        RouterWeights = ["router.weight", "gate.weight"],
        RouterBiases = ["router.bias", "gate.bias"],
        FusedRows = MoeRowOrder.Interleaved,
        FusedOrder = MoeMatrixOrder.InputMajor,
        WidthKeys = ["intermediate_size"],
        Router = _ => MoeRouter.TopKThenSoftmax,
        Activation = GptOssActivation,
        Ignored = ["norm.scale"],
    };

    // transformers fixes both constants in GptOssExperts, so a config of that model type need not state them, nor need one of original/; and
    // no model in these names has another alpha.
    private static MoeActivation GptOssActivation(LayerConfig config)
    {
        MoeActivation own = MoeActivation.SwiGluOai();
        float? limit = config.Factor("swiglu_limit") ?? config.Options.SwiGluLimit;
        return MoeActivation.SwiGluOai(
    config.Factor("swiglu_alpha") ?? config.Options.SwiGluAlpha ?? own.Alpha,
    limit ?? (config.States("model_type") ? own.Limit : throw config.Missing("swiglu_limit")));
    }
}
