namespace Moe.Plugins.Checkpoints;

/// <summary>One mixture-of-experts layer of a checkpoint.</summary>
public sealed record CheckpointLayer
{
    /// <summary>The common start of its tensors' names, <c>model.layers.0.mlp</c>.</summary>
    public required string Name { get; init; }

    /// <summary>The layer's number in those names.</summary>
    public required int Index { get; init; }

    /// <summary>Its sizes and options.</summary>
    public required MoeLayerShape Shape { get; init; }

    /// <summary>Its tensors, checked against <see cref="Shape"/>; valid until the checkpoint is disposed.</summary>
    public required MoeWeightSource Source { get; init; }

    /// <summary>Bytes that its tensors take in the checkpoint.</summary>
    public required long ByteCount { get; init; }
}
