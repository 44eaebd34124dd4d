using System.Globalization;

namespace Moe.Plugins.Checkpoints;

internal static partial class MoeFamilies
{
    /// <summary>
    /// Step-3.5 and 3.7-Flash (transformers, <c>models/step3p7/modeling_step3p7.py</c>): stacked experts without a name of their own, shared experts
    /// beside the module, and in some layers a bound behind SiLU, other ones for routed and shared experts.
    /// </summary>
    private static MoeFamily Step => new()
    {
        Name = "Step-3.5/3.7",
        ModelTypes = ["step3p5", "step3p7"],
        Blocks = ["moe"],
        BareExperts = ["gate_proj", "up_proj", "down_proj"],
        SelectionBiases = ["router_bias"],
        Shared = ["../share_expert", "share_expert"],
        SharedKeys = ["share_expert_dim", "share_expert_dims"],
        Router = StepRouter,
        Activation = config => Activations.SiluThenClamp(config, "swiglu_limits"),
        SharedActivation = config => Activations.SiluThenClamp(config, "swiglu_limits_shared"),
        IsDense = StepIsDense,
    };

    private static MoeRouter StepRouter(LayerConfig config)
    {
        string score = config.Text("moe_router_activation") ?? "sigmoid";
        return score == "sigmoid"
            ? new MoeRouter
            {
                Score = MoeRouterScore.Sigmoid,
                Renormalize = config.Flag("norm_expert_weight") ?? true,
                Scale = config.Factor("moe_router_scaling_factor") ?? 1,
                HasSelectionBias = config.Flag("use_moe_router_bias") ?? true,
            }
            : throw config.Unknown("moe_router_activation", score, "sigmoid");
    }

    private static bool StepIsDense(LayerConfig config)
    {
        if (DenseRules.Listed(config) is bool listed)
        {
            return listed;
        }

        if (config.Numbers("moe_layers_enum") is { } numbers)
        {
            return !numbers.Contains(config.Layer);
        }

        string number = config.Layer.ToString(CultureInfo.InvariantCulture);
        return config.Text("moe_layers_enum") is string list ? !list.Split(',', StringSplitOptions.TrimEntries).Contains(number) : config.Layer < 3;
    }
}
