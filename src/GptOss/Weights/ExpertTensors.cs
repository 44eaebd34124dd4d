namespace Moe.Plugins.GptOss;

/// <summary>A layer of experts as the host wants it.</summary>
internal sealed record ExpertTensors
{
    /// <summary><c>model.layers.3.mlp</c>.</summary>
    public required string Name { get; init; }

    public required MoeLayerShape Shape { get; init; }

    public required MoeWeightSource Source { get; init; }
}
