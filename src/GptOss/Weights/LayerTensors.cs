namespace Moe.Plugins.GptOss;

/// <summary>One layer's tensors where the checkpoint has them.</summary>
internal sealed record LayerTensors
{
    public required MoeTensorView AttentionNorm { get; init; }

    /// <summary>Query, key and value.</summary>
    public required LinearTensors[] QueryKeyValue { get; init; }

    /// <summary>One logit a query head.</summary>
    public required MoeTensorView Sinks { get; init; }

    public required LinearTensors Output { get; init; }

    public required MoeTensorView ExpertNorm { get; init; }

    public required ExpertTensors Experts { get; init; }
}
