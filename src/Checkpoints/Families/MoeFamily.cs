namespace Moe.Plugins.Checkpoints;

/// <summary>
/// What the models of one family have in common: the names of a layer's tensors, and how its config becomes a router and an activation.
/// Formats are not part of it; they are found by the tensors.
/// </summary>
internal sealed record MoeFamily
{
    /// <summary>Name for people.</summary>
    public required string Name { get; init; }

    /// <summary>What <c>model_type</c> is in the configs of its models; one that ends in <c>_text</c> stands for the same.</summary>
    public required string[] ModelTypes { get; init; }

    /// <summary>What stands before a layer's number in the names.</summary>
    public string[] Layers { get; init; } = ["layers"];

    /// <summary>What follows the number: the module that is the layer.</summary>
    public string[] Blocks { get; init; } = ["mlp"];

    /// <summary>
    /// Where in the module the experts are: under a name of their own, followed by their number where each is apart. MLX stacks
    /// those of all models under <c>switch_mlp</c> (mlx-lm, <c>models/switch_layers.py</c>).
    /// </summary>
    public string[] Containers { get; init; } = ["experts", "switch_mlp"];

    /// <summary>Names of experts' tensors that are in no container, but directly in the module; empty where there are none.</summary>
    public string[] BareExperts { get; init; } = [];

    /// <summary>The router's weight.</summary>
    public string[] RouterWeights { get; init; } = ["gate.weight"];

    /// <summary>The logits' bias, where the model has one.</summary>
    public string[] RouterBiases { get; init; } = [];

    /// <summary>The selection bias, where the router asks for one.</summary>
    public string[] SelectionBiases { get; init; } = [];

    /// <summary>The experts of each token id, where the router asks for them.</summary>
    public string TokenTable { get; init; } = "";

    /// <summary>Shared experts; <c>../</c> before the name of a module beside this one.</summary>
    public string[] Shared { get; init; } = [];

    /// <summary>Keys that are above 0 where there are shared experts.</summary>
    public string[] SharedKeys { get; init; } =
        ["n_shared_experts", "num_shared_experts", "moe_num_shared_experts", "shared_expert_intermediate_size"];

    /// <summary>The weight of the shared experts' gate; empty where they have none.</summary>
    public string SharedGate { get; init; } = "";

    /// <summary>The projections around experts that are narrower than the residual stream.</summary>
    public LatentNames? Latent { get; init; }

    /// <summary>How gates and ups lie in one tensor of all experts.</summary>
    public MoeRowOrder FusedRows { get; init; } = MoeRowOrder.GateThenUp;

    /// <summary>Which dimension runs along the rows of such a tensor, where its sizes do not tell.</summary>
    public MoeMatrixOrder FusedOrder { get; init; } = MoeMatrixOrder.OutputMajor;

    /// <summary>Keys of an expert's width between its products; in many models <c>intermediate_size</c> is that of other layers.</summary>
    public string[] WidthKeys { get; init; } = ["moe_intermediate_size"];

    /// <summary>The router's program.</summary>
    public required Func<LayerConfig, MoeRouter> Router { get; init; }

    /// <summary>The experts' activation.</summary>
    public Func<LayerConfig, MoeActivation> Activation { get; init; } = Activations.Stated;

    /// <summary>The shared experts' activation; null for that of the others.</summary>
    public Func<LayerConfig, MoeActivation>? SharedActivation { get; init; }

    /// <summary>Whether the config says that a layer has no experts; null where nothing says so.</summary>
    public Func<LayerConfig, bool>? IsDense { get; init; }

    /// <summary>Why the router is none that the contract can say, so that the caller routes; null where it is one.</summary>
    public string? CallerRoutes { get; init; }

    /// <summary>Tensors in the module that are no part of the layer.</summary>
    public string[] Ignored { get; init; } = [];
}

/// <summary>Names of the projections around latent experts, after the layer's own.</summary>
/// <param name="Down">The matrix before the experts.</param>
/// <param name="Up">The matrix behind their sum.</param>
/// <param name="Norm">The weight of the norm between; null where there is none.</param>
/// <param name="WidthKeys">Keys of the width.</param>
internal sealed record LatentNames(string Down, string Up, string? Norm, string[] WidthKeys);
