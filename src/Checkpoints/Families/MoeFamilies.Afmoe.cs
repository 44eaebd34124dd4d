namespace Moe.Plugins.Checkpoints;

internal static partial class MoeFamilies
{
    /// <summary>AFMoE, Trinity (transformers, <c>models/afmoe/modeling_afmoe.py</c>).</summary>
    private static MoeFamily Afmoe => new()
    {
        Name = "AFMoE",
        ModelTypes = ["afmoe"],
        RouterWeights = ["router.gate.weight"],
        SelectionBiases = ["expert_bias"],
        Shared = ["shared_experts"],
        Router = config => new MoeRouter
        {
            Score = MoeRouterScore.Sigmoid,
            Renormalize = true,
            Epsilon = Routers.Epsilon,
            Scale = config.Factor("route_scale") ?? 1,
            HasSelectionBias = true,
        },
        IsDense = config => config.Layer < (config.Whole(0, "num_dense_layers") ?? 0),
    };
}
