namespace Moe.Plugins.Checkpoints;

internal static partial class MoeFamilies
{
    /// <summary>DeepSeek-V2 (transformers, <c>models/deepseek_v2/modeling_deepseek_v2.py</c>), which never divides weights by their sum.</summary>
    private static MoeFamily DeepSeekV2 => new()
    {
        Name = "DeepSeek-V2",
        ModelTypes = ["deepseek_v2"],
        Shared = ["shared_experts"],
        Router = DeepSeekV2Router,
        IsDense = DenseRules.FirstLayers,
    };

    private static MoeRouter DeepSeekV2Router(LayerConfig config)
    {
        string method = config.Text("topk_method") ?? "greedy";
        MoeRouter router = method switch
        {
            "greedy" => MoeRouter.SoftmaxThenTopK,
            "group_limited_greedy" => Routers.Grouped(config, "n_group", "topk_group") with { GroupRule = MoeGroupRule.Max },
            _ => throw config.Unknown("topk_method", method, "greedy or group_limited_greedy"),
        };
        return router with { Scale = config.Factor("routed_scaling_factor") ?? 1 };
    }
}
