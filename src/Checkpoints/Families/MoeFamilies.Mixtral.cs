namespace Moe.Plugins.Checkpoints;

internal static partial class MoeFamilies
{
    /// <summary>Mixtral (transformers, <c>models/mixtral/modeling_mixtral.py</c>): weights are always divided by their sum.</summary>
    private static MoeFamily Mixtral => new()
    {
        Name = "Mixtral",
        ModelTypes = ["mixtral"],
        Blocks = ["block_sparse_moe", "mlp"],
        WidthKeys = ["intermediate_size"],
        Router = _ => MoeRouter.SoftmaxThenTopKRenormalized,
    };

    /// <summary>
    /// Phi-3.5-MoE (<c>models/phimoe/modeling_phimoe.py</c>): Mixtral's experts, and a router that looks for its second expert among those that
    /// come close to the best.
    /// </summary>
    private static MoeFamily Phi => Mixtral with
    {
        Name = "Phi-3.5-MoE",
        ModelTypes = ["phimoe"],
        RouterWeights = ["gate.weight", "router.weight"],
        CallerRoutes = "it routes by SparseMixer, which chooses each of two experts among those within a margin of the best",
    };
}
