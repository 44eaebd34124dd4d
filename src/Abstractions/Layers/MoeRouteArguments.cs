namespace Moe.Plugins;

/// <summary>What routing without a forward needs. All tensors are on the method's device and stay the caller's.</summary>
public readonly struct MoeRouteArguments
{
    /// <summary>[tokens, the model's hidden size]: what the router reads, never padded. 0 tokens are allowed.</summary>
    public required MoeTensorView Input { get; init; }

    /// <summary>Expert ids, [tokens, top-k] int32: written.</summary>
    public required MoeTensorView TopKIds { get; init; }

    /// <summary>Weights of those experts, [tokens, top-k] float32: written.</summary>
    public required MoeTensorView TopKWeights { get; init; }

    /// <summary>[tokens, 1] int32: the tokens' ids in the vocabulary; there where the shape's router has <see cref="MoeRouterChoice.TokenTable"/>.</summary>
    public MoeTensorView TokenIds { get; init; }

    /// <summary>The stream to enqueue on, a raw handle of the backend's; 0 for its default stream.</summary>
    public nint Stream { get; init; }
}
