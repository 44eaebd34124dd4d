namespace Moe.Plugins.Checkpoints;

internal static partial class MoeFamilies
{
    /// <summary>OLMoE (transformers, <c>models/olmoe/modeling_olmoe.py</c>).</summary>
    private static MoeFamily Olmoe => new()
    {
        Name = "OLMoE",
        ModelTypes = ["olmoe"],
        WidthKeys = ["intermediate_size"],
        Router = Routers.Softmax,
    };
}
