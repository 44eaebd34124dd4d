namespace Moe.Plugins.Checkpoints.Tests;

/// <summary>One family's names, as its published models have them, and a config with nothing but what the layer needs.</summary>
internal sealed record SyntheticFamily
{
    public required string Name { get; init; }

    public required string Config { get; init; }

    /// <summary>The layer's name.</summary>
    public required string Layer { get; init; }

    public string Router { get; init; } = "gate.weight";

    /// <summary>The selection bias; empty where there is none.</summary>
    public string Bias { get; init; } = "";

    /// <summary>Gate, up and down of an expert; no gate is none.</summary>
    public string[] Experts { get; init; } = ["gate_proj", "up_proj", "down_proj"];

    /// <summary>Shared experts' module; empty where there are none.</summary>
    public string Shared { get; init; } = "";

    /// <summary>Projections around latent experts, down, up and the norm; empty where there are none.</summary>
    public string[] Latent { get; init; } = [];

    public int Inputs => Latent.Length == 0 ? SyntheticModel.Hidden : SyntheticModel.Hidden / 2;

    public static IReadOnlyList<SyntheticFamily> All { get; } =
    [
        new()
        {
            Name = "qwen3", Layer = "model.layers.3.mlp",
            Config = """{"model_type":"qwen3_moe","num_hidden_layers":4,"num_experts":4,"num_experts_per_tok":2,"norm_topk_prob":true,"moe_intermediate_size":32,"hidden_size":64}""",
        },
        new()
        {
            Name = "mixtral", Layer = "model.layers.0.block_sparse_moe", Experts = ["w1", "w3", "w2"],
            Config = """{"model_type":"mixtral","num_local_experts":4,"num_experts_per_tok":2,"intermediate_size":32}""",
        },
        new()
        {
            Name = "deepseek-v3", Layer = "model.layers.3.mlp", Bias = "gate.e_score_correction_bias", Shared = "shared_experts",
            Config = """
                {"model_type":"deepseek_v3","num_hidden_layers":5,"first_k_dense_replace":3,"n_routed_experts":4,"num_experts_per_tok":1,"n_group":2,"topk_group":1,
                 "n_shared_experts":1,"routed_scaling_factor":2.5,"norm_topk_prob":true,"scoring_func":"sigmoid","topk_method":"noaux_tc","moe_intermediate_size":32}
                """,
        },
        new()
        {
            Name = "kimi-k2.5", Layer = "language_model.model.layers.1.mlp", Bias = "gate.e_score_correction_bias", Shared = "shared_experts",
            Config = """
                {"model_type":"kimi_k25","text_config":{"model_type":"kimi_k2","num_hidden_layers":2,"n_routed_experts":4,"num_experts_per_tok":2,"n_shared_experts":1,
                 "n_group":1,"topk_group":1,"routed_scaling_factor":2.827,"norm_topk_prob":true,"first_k_dense_replace":1}}
                """,
        },
        new()
        {
            Name = "deepseek-v4", Layer = "layers.3.ffn", Bias = "gate.bias", Experts = ["w1", "w3", "w2"], Shared = "shared_experts",
            Config = """
                {"model_type":"deepseek_v4","num_hidden_layers":4,"num_hash_layers":3,"n_routed_experts":4,"num_experts_per_tok":2,"n_shared_experts":1,
                 "scoring_func":"sqrtsoftplus","norm_topk_prob":true,"routed_scaling_factor":1.5,"swiglu_limit":10.0}
                """,
        },
        new()
        {
            Name = "kimi-k3", Layer = "language_model.model.layers.1.block_sparse_moe", Bias = "gate.e_score_correction_bias",
            Experts = ["w1", "w3", "w2"], Shared = "shared_experts",
            Latent = ["routed_expert_down_proj", "routed_expert_up_proj", "routed_expert_norm.weight"],
            Config = """
                {"model_type":"kimi_k3","text_config":{"model_type":"kimi_linear","num_hidden_layers":2,"num_experts":4,"num_experts_per_token":2,"num_shared_experts":2,
                 "first_k_dense_replace":1,"moe_layer_freq":1,"moe_renormalize":true,"moe_router_activation_func":"sigmoid","num_expert_group":1,"topk_group":1,
                 "routed_expert_hidden_size":32,"latent_moe_use_norm":true,"rms_norm_eps":1e-5,"hidden_act":"situ","activation_situ_beta":4.0,"activation_situ_linear_beta":25.0}}
                """,
        },
        new()
        {
            Name = "minimax-m3", Layer = "language_model.model.layers.0.block_sparse_moe", Bias = "e_score_correction_bias", Experts = ["w1", "w3", "w2"],
            Shared = "shared_experts",
            Config = """
                {"model_type":"minimax_m3_vl","text_config":{"num_local_experts":4,"num_experts_per_tok":2,"intermediate_size":32,"hidden_act":"swigluoai","moe_layer_freq":[1],
                 "routed_scaling_factor":2.0,"swiglu_alpha":1.702,"swiglu_limit":7.0}}
                """,
        },
        new()
        {
            Name = "nemotron-3", Layer = "backbone.layers.1.mixer", Bias = "gate.e_score_correction_bias", Experts = ["", "up_proj", "down_proj"],
            Shared = "shared_experts", Latent = ["fc1_latent_proj", "fc2_latent_proj", ""],
            Config = """
                {"model_type":"nemotron_h","hybrid_override_pattern":"ME*","n_routed_experts":4,"num_experts_per_tok":3,"n_shared_experts":1,"moe_latent_size":32,
                 "routed_scaling_factor":5.0,"norm_topk_prob":true,"n_group":1,"topk_group":1,"mlp_hidden_act":"relu2"}
                """,
        },
        new()
        {
            Name = "ling-3", Layer = "model.layers.1.mlp", Bias = "gate.expert_bias", Shared = "shared_experts",
            Config = """
                {"model_type":"bailing_moe_v3","num_hidden_layers":2,"first_k_dense_replace":1,"num_experts":4,"num_experts_per_tok":2,"num_shared_experts":1,"n_group":2,"topk_group":1,
                 "routed_scaling_factor":2.5,"expert_swiglu_limit_list":[0,4.0],"share_expert_swiglu_limit_list":[0,5.0],"score_function":"sigmoid"}
                """,
        },
    ];

    /// <summary>A model of one layer.</summary>
    /// <param name="format">Of the experts.</param>
    /// <param name="sharedFormat">Of the shared experts and the projections.</param>
    /// <param name="expected">Gate, up and down of each expert, in float32.</param>
    public SyntheticModel Create(StoredFormat format, StoredFormat sharedFormat, out float[][][] expected)
    {
        var model = new SyntheticModel(Config);
        format.Announce(model.Text);
        model.AddNumbers($"{Layer}.{Router}", SafetensorsType.BF16, SyntheticModel.Experts, SyntheticModel.Hidden);
        if (Bias.Length > 0)
        {
            model.AddNumbers($"{Layer}.{Bias}", SafetensorsType.F32, SyntheticModel.Experts);
        }

        int intermediate = SyntheticModel.Intermediate;
        expected =
        [
            .. Enumerable.Range(0, SyntheticModel.Experts).Select(expert => (float[][])
            [
                Experts[0].Length == 0 ? [] : format.Add(model, $"{Layer}.experts.{expert}.{Experts[0]}", intermediate, Inputs),
                format.Add(model, $"{Layer}.experts.{expert}.{Experts[1]}", intermediate, Inputs),
                format.Add(model, $"{Layer}.experts.{expert}.{Experts[2]}", Inputs, intermediate),
            ]),
        ];
        AddOthers(model, sharedFormat);
        return model;
    }

    private void AddOthers(SyntheticModel model, StoredFormat format)
    {
        int hidden = SyntheticModel.Hidden;
        if (Shared.Length > 0)
        {
            foreach (string matrix in Experts[0].Length == 0 ? Experts[1..2] : Layer.StartsWith("layers.", StringComparison.Ordinal) ? Experts[..2] : ["gate_proj", "up_proj"])
            {
                format.Add(model, $"{Layer}.{Shared}.{matrix}", 96, hidden);
            }

            format.Add(model, $"{Layer}.{Shared}.{(Layer.StartsWith("layers.", StringComparison.Ordinal) ? Experts[2] : "down_proj")}", hidden, 96);
        }

        if (Latent.Length > 0)
        {
            format.Add(model, $"{Layer}.{Latent[0]}", Inputs, hidden);
            format.Add(model, $"{Layer}.{Latent[1]}", hidden, Inputs);
            if (Latent[2].Length > 0)
            {
                model.AddNumbers($"{Layer}.{Latent[2]}", SafetensorsType.BF16, Inputs);
            }
        }
    }

    public override string ToString() => Name;
}
