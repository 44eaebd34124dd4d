namespace Moe.Plugins;

/// <summary>What one forward reads and writes. The tensors are on the layer's device and stay the caller's.</summary>
public readonly struct MoeLayerCall
{
    /// <summary>[tokens, the model's hidden size] of the layer's input type, any row stride. 0 tokens are allowed.</summary>
    public required MoeTensorView Input { get; init; }

    /// <summary>
    /// [tokens, the model's hidden size] of the layer's output type, any row stride. Nothing outside of it is written. What is written may lie between the
    /// rows of another tensor of the call, but must not partly overlap one.
    /// </summary>
    public required MoeTensorView Output { get; init; }

    /// <summary>Expert ids, [tokens, top-k] int32: read or written, as <see cref="Routing"/> says. May be left out if the layer routes.</summary>
    public MoeTensorView TopKIds { get; init; }

    /// <summary>Weights of those experts, [tokens, top-k] float32; there exactly when <see cref="TopKIds"/> is.</summary>
    public MoeTensorView TopKWeights { get; init; }

    /// <summary>[tokens, 1] int32: the tokens' ids in the vocabulary. Needed where experts are looked up in a table of tokens, and only there.</summary>
    public MoeTensorView TokenIds { get; init; }

    /// <summary>Who routes: the layer's own router, or the caller, who then hands in ids and weights.</summary>
    public MoeRoutingSource Routing { get; init; }

    /// <summary>
    /// Ends the forward of a part with the sum over all ranks + residual and its RMSNorm, in one reduction: <see cref="Output"/> then is the
    /// normed sum. Null leaves the sum there. Only with a state of a group.
    /// </summary>
    public MoeAddNorm? AddNorm { get; init; }

    /// <summary>The stream to enqueue on, a raw handle of the backend's; 0 for its default stream.</summary>
    public nint Stream { get; init; }
}
