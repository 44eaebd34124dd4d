namespace Moe.Plugins.Checkpoints;

internal static partial class MoeFamilies
{
    /// <summary>
    /// Granite-MoE (transformers, <c>models/granitemoe/modeling_granitemoe.py</c>). <c>shared_mlp</c> is a module beside this one, whose
    /// sum with it is the caller's, as is the residual's multiplier.
    /// </summary>
    private static MoeFamily Granite => new()
    {
        Name = "Granite-MoE",
        ModelTypes = ["granitemoe", "granitemoeshared", "granitemoehybrid"],
        Blocks = ["block_sparse_moe"],
        BareExperts = ["input_linear", "output_linear"],
        RouterWeights = ["router.layer.weight", "router.weight"],
        WidthKeys = ["intermediate_size"],
        Router = _ => MoeRouter.TopKThenSoftmax,
    };
}
