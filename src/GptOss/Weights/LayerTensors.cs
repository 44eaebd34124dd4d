namespace Moe.Plugins.GptOss;

/// <summary>One layer's tensors where the checkpoint has them.</summary>
internal sealed record LayerTensors
{
    public required MoeStoredTensor AttentionNorm { get; init; }

    /// <summary>Query, key and value.</summary>
    public required LinearTensors[] QueryKeyValue { get; init; }

    /// <summary>One logit a query head.</summary>
    public required MoeStoredTensor Sinks { get; init; }

    public required LinearTensors Output { get; init; }

    public required MoeStoredTensor ExpertNorm { get; init; }

    public required ExpertTensors Experts { get; init; }
}
