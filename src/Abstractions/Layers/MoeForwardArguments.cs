namespace Moe.Plugins;

/// <summary>
/// What one forward needs. All tensors are on the method's device and stay the caller's; work is enqueued on
/// <see cref="Stream"/>, and the buffers must live until it is done.
/// </summary>
public readonly struct MoeForwardArguments
{
    /// <summary>[tokens, <see cref="MoeLayerConfig.InputWidth"/>]: what the experts read. 0 tokens are allowed.
    /// Where the caller routes and there are no shared experts, a token that has none of a part's experts may be anything here; its row of the result is then undefined.</summary>
    public required MoeTensorView Input { get; init; }

    /// <summary>[tokens, the model's hidden size]: what the router reads, never padded. The same memory as <see cref="Input"/>
    /// where the method skips forward padding.</summary>
    public required MoeTensorView RouterInput { get; init; }

    /// <summary>[tokens, <see cref="MoeLayerConfig.OutputWidth"/>]: where the result goes. Nothing outside of it is written.</summary>
    public required MoeTensorView Output { get; init; }

    /// <summary>Expert ids, [tokens, top-k] int32, as <see cref="Routing"/> says: read, written or, if empty, neither.</summary>
    public MoeTensorView TopKIds { get; init; }

    /// <summary>Weights of those experts, [tokens, top-k] float32; empty exactly when <see cref="TopKIds"/> is.</summary>
    public MoeTensorView TopKWeights { get; init; }

    /// <summary>[tokens, 1] int32: the tokens' ids in the vocabulary; there where the shape's router has <see cref="MoeRouterChoice.TokenTable"/> and routes.</summary>
    public MoeTensorView TokenIds { get; init; }

    /// <summary>Who routes.</summary>
    public MoeRoutingSource Routing { get; init; }

    /// <summary>The stream to enqueue on, a raw handle of the backend's; 0 for its default stream.</summary>
    public nint Stream { get; init; }
}
