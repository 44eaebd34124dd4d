namespace Moe.Plugins.Checkpoints.Tests;

/// <summary>
/// Families of which transformers made no golden file: names and config keys as their models are published with, and the router that their
/// sources compute.
/// </summary>
public sealed class PublishedConfigTests : IDisposable
{
    private const string Gated = "gate_proj up_proj down_proj";
    private const string Numbered = "w1 w3 w2";
    private const string Correction = "gate.e_score_correction_bias";

    private static readonly MoeRouter Sigmoid = new()
    {
        Score = MoeRouterScore.Sigmoid,
        Renormalize = true,
        Epsilon = 1e-20f,
        HasSelectionBias = true,
    };

    private readonly TemporaryFolder _folder = new();

    /// <summary>Config, layer, router and selection bias, shared experts, an expert's matrices, and the router that comes of it.</summary>
    public static TheoryData<string, string, string, string, string, string, MoeRouter> Models() => new()
    {
        {
            """
            {"model_type":"deepseek_v32","num_hidden_layers":5,"first_k_dense_replace":3,"n_routed_experts":4,"num_experts_per_tok":1,"n_group":2,"topk_group":1,
             "n_shared_experts":1,"routed_scaling_factor":2.5,"norm_topk_prob":true,"scoring_func":"sigmoid","topk_method":"noaux_tc"}
            """,
            "model.layers.3.mlp", "gate.weight", Correction, "shared_experts", Gated, Sigmoid with { GroupCount = 2, Scale = 2.5f }
        },
        {
            """
            {"model_type":"glm4_moe_lite","num_hidden_layers":2,"mlp_layer_types":["dense","sparse"],"n_routed_experts":4,"num_experts_per_tok":2,"n_group":1,"topk_group":1,
             "n_shared_experts":1,"routed_scaling_factor":1.8,"norm_topk_prob":true,"topk_method":"noaux_tc"}
            """,
            "model.layers.1.mlp", "gate.weight", Correction, "shared_experts", Gated, Sigmoid with { Scale = 1.8f }
        },
        {
            """
            {"model_type":"glm4v_moe","text_config":{"model_type":"glm4v_moe_text","num_hidden_layers":2,"first_k_dense_replace":1,"n_routed_experts":4,"num_experts_per_tok":2,
             "n_group":1,"topk_group":1,"n_shared_experts":1,"routed_scaling_factor":1.0,"norm_topk_prob":true}}
            """,
            "model.language_model.layers.1.mlp", "gate.weight", Correction, "shared_experts", Gated, Sigmoid
        },
        {
            """
            {"model_type":"glm_moe_dsa","num_hidden_layers":4,"first_k_dense_replace":3,"n_routed_experts":4,"num_experts_per_tok":2,"n_group":1,"topk_group":1,
             "n_shared_experts":1,"routed_scaling_factor":2.5,"norm_topk_prob":true,"scoring_func":"sigmoid","topk_method":"noaux_tc","moe_layer_freq":1}
            """,
            "model.layers.3.mlp", "gate.weight", Correction, "shared_experts", Gated, Sigmoid with { Scale = 2.5f }
        },
        {
            """
            {"model_type":"dots1","num_hidden_layers":2,"first_k_dense_replace":1,"n_routed_experts":4,"num_experts_per_tok":2,"n_group":null,"topk_group":null,
             "n_shared_experts":2,"routed_scaling_factor":2.5,"norm_topk_prob":true,"scoring_func":"noaux_tc"}
            """,
            "model.layers.1.mlp", "gate.weight", Correction, "shared_experts", Gated, Sigmoid with { Scale = 2.5f }
        },
        {
            """
            {"model_type":"mimo_v2_flash","num_hidden_layers":2,"moe_layer_freq":[0,1],"n_routed_experts":4,"num_experts_per_tok":2,"n_group":1,"topk_group":1,
             "n_shared_experts":null,"routed_scaling_factor":null,"norm_topk_prob":true,"scoring_func":"sigmoid","topk_method":"noaux_tc"}
            """,
            "model.layers.1.mlp", "gate.weight", Correction, "", Gated, Sigmoid
        },
        {
            """
            {"model_type":"exaone_moe","num_hidden_layers":2,"first_last_k_dense_replace":1,"is_moe_layer":[false,true],"num_experts":4,"num_experts_per_tok":2,"n_group":1,"topk_group":1,
             "num_shared_experts":1,"routed_scaling_factor":2.5,"norm_topk_prob":true,"scoring_func":"sigmoid","topk_method":"noaux_tc"}
            """,
            "model.layers.1.mlp", "gate.weight", "e_score_correction_bias", "shared_experts", Gated, Sigmoid with { Scale = 2.5f }
        },
        {
            """
            {"model_type":"solar_open","num_hidden_layers":2,"first_k_dense_replace":0,"n_routed_experts":4,"num_experts_per_tok":2,"n_shared_experts":1,
             "routed_scaling_factor":1.0,"norm_topk_prob":true}
            """,
            "model.layers.0.mlp", "gate.weight", Correction, "shared_experts", Gated, Sigmoid
        },
        {
            """
            {"model_type":"hunyuan_v1_moe","num_hidden_layers":2,"num_experts":4,"moe_topk":[2,2],"moe_intermediate_size":[32,32],"num_shared_expert":[1,1],"intermediate_size":32,
             "use_mixed_mlp_moe":true,"moe_layer_num_skipped":0}
            """,
            "model.layers.1.mlp", "gate.wg.weight", "", "shared_mlp", Gated, MoeRouter.SoftmaxThenTopKRenormalized
        },
        {
            """
            {"model_type":"kimi_linear","num_hidden_layers":2,"first_k_dense_replace":1,"moe_layer_freq":1,"num_experts":4,"num_experts_per_token":2,"num_shared_experts":1,
             "num_expert_group":1,"topk_group":1,"moe_renormalize":true,"moe_router_activation_func":"sigmoid","routed_scaling_factor":2.446,"use_grouped_topk":true}
            """,
            "model.layers.1.block_sparse_moe", "gate.weight", Correction, "shared_experts", Numbered, Sigmoid with { Scale = 2.446f }
        },
        {
            """
            {"model_type":"deepseek_v41","text_config":{"model_type":"deepseek_v41_text","num_hidden_layers":2,"n_routed_experts":4,"num_experts_per_tok":2,"n_shared_experts":1,
             "scoring_func":"sqrtsoftplus","norm_topk_prob":true,"routed_scaling_factor":1.5,"swiglu_limit":10.0}}
            """,
            "layers.1.ffn", "gate.weight", "gate.bias", "shared_experts", Numbered, Sigmoid with { Score = MoeRouterScore.SqrtSoftplus, Scale = 1.5f }
        },
        {
            """{"model_type":"qwen3_5_moe_text","num_hidden_layers":1,"num_experts":4,"num_experts_per_tok":2,"norm_topk_prob":false}""",
            "model.layers.0.mlp", "gate.weight", "", "", Gated, MoeRouter.SoftmaxThenTopKRenormalized
        },
        {
            """{"model_type":"qwen4_exp","text_config":{"model_type":"qwen4_exp_text","num_hidden_layers":1,"num_experts":4,"num_experts_per_tok":2}}""",
            "model.language_model.layers.0.mlp", "gate.weight", "", "", Gated, MoeRouter.SoftmaxThenTopKRenormalized
        },
    };

    [Theory]
    [MemberData(nameof(Models))]
    public void A_published_config_is_the_router_of_its_source(
        string config, string layerName, string routerWeight, string selectionBias, string shared, string matrices, MoeRouter expected)
    {
        var model = new SyntheticModel(config);
        model.AddNumbers($"{layerName}.{routerWeight}", SafetensorsType.BF16, SyntheticModel.Experts, SyntheticModel.Hidden);
        if (selectionBias.Length > 0)
        {
            model.AddNumbers($"{layerName}.{selectionBias}", SafetensorsType.F32, SyntheticModel.Experts);
        }

        for (int expert = 0; expert < SyntheticModel.Experts; expert++)
        {
            Add(model, $"{layerName}.experts.{expert}", matrices);
        }

        if (shared.Length > 0)
        {
            Add(model, $"{layerName}.{shared}", layerName.EndsWith(".ffn", StringComparison.Ordinal) ? Numbered : Gated);
        }

        model.Save(_folder.Path);
        using var checkpoint = Checkpoint.Open(_folder.Path);
        CheckpointLayer layer = Assert.Single(checkpoint.MoeLayers);
        Assert.Equal(layerName, layer.Name);
        Assert.Equal(expected, layer.Shape.Router);
        Assert.Equal(shared.Length > 0, layer.Shape.Shared is not null);
        float limit = model.Text.ContainsKey("swiglu_limit") ? 10 : float.PositiveInfinity;
        Assert.Equal(MoeActivation.Glu(MoeGluFunction.Silu, limit: limit), layer.Shape.Activation);
        Assert.Equal(layer.Shape.Shared is null ? null : layer.Shape.Activation, layer.Shape.Shared?.Activation);
    }

    public void Dispose() => _folder.Dispose();

    private static void Add(SyntheticModel model, string module, string matrices)
    {
        string[] names = matrices.Split(' ');
        model.AddNumbers($"{module}.{names[0]}.weight", SafetensorsType.BF16, SyntheticModel.Intermediate, SyntheticModel.Hidden);
        model.AddNumbers($"{module}.{names[1]}.weight", SafetensorsType.BF16, SyntheticModel.Intermediate, SyntheticModel.Hidden);
        model.AddNumbers($"{module}.{names[2]}.weight", SafetensorsType.BF16, SyntheticModel.Hidden, SyntheticModel.Intermediate);
    }
}
