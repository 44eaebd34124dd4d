namespace Moe.Plugins.Checkpoints;

internal static partial class MoeFamilies
{
    /// <summary>
    /// Llama-4 (transformers, <c>models/llama4/modeling_llama4.py</c>): an expert reads its input times its weight. One tensor has all experts,
    /// its rows the inputs.
    /// </summary>
    private static MoeFamily Llama4 => new()
    {
        Name = "Llama-4",
        ModelTypes = ["llama4"],
        Blocks = ["feed_forward"],
        RouterWeights = ["router.weight"],
        Shared = ["shared_expert"],
        FusedOrder = MoeMatrixOrder.InputMajor,
        WidthKeys = ["intermediate_size"],
        Router = _ => new MoeRouter { Score = MoeRouterScore.Sigmoid, WeightOn = MoeWeightOn.Input },
        IsDense = config => config.Numbers("moe_layers") is { } layers
            ? !layers.Contains(config.Layer)
            : (config.Layer + 1) % (config.Whole(1, "interleave_moe_layer_step") ?? 1) != 0,
    };
}
