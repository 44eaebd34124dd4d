namespace Moe.Plugins.Checkpoints;

/// <summary>One mixture-of-experts layer of a checkpoint.</summary>
public sealed record CheckpointLayer
{
    /// <summary>The common start of its tensors' names, <c>model.layers.0.mlp</c>.</summary>
    public required string Name { get; init; }

    /// <summary>The layer's number in those names.</summary>
    public required int Index { get; init; }

    /// <summary>The family of models that it was read as, <c>Qwen2/3-MoE</c>.</summary>
    public required string Family { get; init; }

    /// <summary>
    /// Why the caller must route, as a clause that goes on from the family's name: its router is none that <see cref="MoeRouter"/> can say, and
    /// <see cref="MoeWeightSource.RouterWeight"/> is null. Null where the layer routes by itself.
    /// </summary>
    public string? CallerRoutes { get; init; }

    /// <summary>Its sizes and options.</summary>
    public required MoeLayerShape Shape { get; init; }

    /// <summary>Its tensors, checked against <see cref="Shape"/>; they can be read until the checkpoint is disposed.</summary>
    public required MoeWeightSource Source { get; init; }

    /// <summary>Bytes that its tensors take in the checkpoint.</summary>
    public required long ByteCount { get; init; }
}
