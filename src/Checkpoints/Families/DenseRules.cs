namespace Moe.Plugins.Checkpoints;

/// <summary>Rules by which configs say that a layer has no experts.</summary>
internal static class DenseRules
{
    /// <summary>The first layers, by <c>first_k_dense_replace</c>, or a list that says what each layer is.</summary>
    public static bool FirstLayers(LayerConfig config) => Listed(config) ?? config.Layer < (config.Whole(0, "first_k_dense_replace") ?? 0);

    /// <summary>What <c>mlp_layer_types</c> or a list under <c>moe_layer_freq</c> says of the layer; null where there is none.</summary>
    public static bool? Listed(LayerConfig config) => config.Text("mlp_layer_types") is string type ? type == "dense"
        : config.Numbers("moe_layer_freq") is { } kinds && config.Layer < kinds.Count ? kinds[config.Layer] == 0
        : null;
}
