namespace Moe.Plugins.GptOss;

/// <summary>
/// What a checkpoint calls its tensors: as published and as transformers saves them, or as in the folder <c>original</c>
/// (transformers <c>models/gpt_oss/convert_gpt_oss_weights_to_hf.py</c>, <c>ORIGINAL_TO_CONVERTED_KEY_MAPPING</c>).
/// </summary>
internal sealed class TensorNames
{
    private TensorNames()
    {
    }

    public static TensorNames Published { get; } = new()
    {
        Embedding = "model.embed_tokens.weight",
        FinalNorm = "model.norm.weight",
        Head = "lm_head.weight",
        Layer = "model.layers.",
        AttentionNorm = "input_layernorm.weight",
        QueryKeyValue = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
        Sinks = "self_attn.sinks",
        Output = "self_attn.o_proj",
        ExpertNorm = "post_attention_layernorm.weight",
        Router = "mlp.router",
        GateUp = new("mlp.experts.gate_up_proj_blocks", "mlp.experts.gate_up_proj_scales", "mlp.experts.gate_up_proj_bias"),
        Down = new("mlp.experts.down_proj_blocks", "mlp.experts.down_proj_scales", "mlp.experts.down_proj_bias"),
        DequantizedExperts = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"],
    };

    public static TensorNames Original { get; } = new()
    {
        Embedding = "embedding.weight",
        FinalNorm = "norm.scale",
        Head = "unembedding.weight",
        Layer = "block.",
        AttentionNorm = "attn.norm.scale",
        QueryKeyValue = ["attn.qkv"],
        Sinks = "attn.sinks",
        Output = "attn.out",
        ExpertNorm = "mlp.norm.scale",
        Router = "mlp.gate",
        GateUp = new("mlp.mlp1_weight.blocks", "mlp.mlp1_weight.scales", "mlp.mlp1_bias"),
        Down = new("mlp.mlp2_weight.blocks", "mlp.mlp2_weight.scales", "mlp.mlp2_bias"),
        DequantizedExperts = [],
    };

    public required string Embedding { get; init; }

    public required string FinalNorm { get; init; }

    public required string Head { get; init; }

    /// <summary>What stands before a layer's number.</summary>
    public required string Layer { get; init; }

    public required string AttentionNorm { get; init; }

    /// <summary>Without <c>.weight</c> and <c>.bias</c>: query, key and value apart, or one with the rows of all three in this order.</summary>
    public required string[] QueryKeyValue { get; init; }

    public required string Sinks { get; init; }

    /// <summary>Without <c>.weight</c> and <c>.bias</c>.</summary>
    public required string Output { get; init; }

    public required string ExpertNorm { get; init; }

    /// <summary>Without <c>.weight</c> and <c>.bias</c>.</summary>
    public required string Router { get; init; }

    public required ExpertNames GateUp { get; init; }

    public required ExpertNames Down { get; init; }

    /// <summary>Of the experts, in BF16, where a checkpoint has them so.</summary>
    public required string[] DequantizedExperts { get; init; }

    /// <summary>The full name of a tensor of a layer.</summary>
    public string Of(int layer, string name) => $"{Layer}{layer}.{name}";

    /// <summary>The three tensors of one of the experts' matrices in MXFP4.</summary>
    internal sealed record ExpertNames(string Blocks, string Scales, string Bias);
}
