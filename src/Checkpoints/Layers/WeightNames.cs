namespace Moe.Plugins.Checkpoints;

/// <summary>How the tensors of one matrix are named, after the matrix's own name: one row for each habit of the tools that save them.</summary>
/// <param name="Values">The values.</param>
/// <param name="Scales">Names that the scales of blocks go by.</param>
/// <param name="GlobalScales">Names that the scale of the whole matrix goes by, and whether values are divided by it.</param>
/// <param name="Bias">The bias.</param>
internal sealed record WeightNames(string Values, string[] Scales, (string Name, bool Divides)[] GlobalScales, string Bias)
{
    private const string ModuleBias = ".bias";
    private const string ParameterBias = "_bias";

    /// <summary>All of them. A matrix has the tensors of one.</summary>
    public static IReadOnlyList<WeightNames> All { get; } =
    [
        // compressed-tensors (compressors/mxfp4/base.py, quantization/lifecycle/forward_helpers.py).
        new(".weight_packed", [".weight_scale"], [(".weight_global_scale", true)], ModuleBias),

        // FP8 (transformers, integrations/finegrained_fp8.py), Quark, ModelOpt, DeepSeek-V4 (.scale), MLX (.scales).
        new(".weight", [".weight_scale", ".weight_scale_inv", ".scale", ".scales"], [(".weight_scale_2", false)], ModuleBias),

        // GPT-OSS as published (openai/gpt-oss, gpt_oss/torch/weights.py has the second).
        new("_blocks", ["_scales"], [], ParameterBias),
        new("_weight.blocks", ["_weight.scales"], [], ParameterBias),

        // One tensor for all experts, without ".weight".
        new("_packed", ["_scale"], [("_global_scale", true)], ParameterBias),
        new("", ["_scale_inv", "_scale", "_weight_scale", "_scales"], [("_weight_scale_2", false), ("_scale_2", false)], ParameterBias),
    ];

    /// <summary>What tools keep beside a matrix and a forward pass in the weights' own precision does not need: scales of activations.</summary>
    public static bool IsUnneeded(ReadOnlySpan<char> name) =>
        name.EndsWith("input_scale") || name.EndsWith("input_global_scale") || name.EndsWith("output_scale") || name.EndsWith("weight_shape");
}
