namespace Moe.Plugins;

/// <summary>What the host, not the model, decides about a layer.</summary>
public sealed record MoeLayerOptions
{
    /// <summary>The most tokens that one forward of this rank may bring. Workspaces are sized for it, once.</summary>
    public int MaxTokens { get; init; } = 1024;

    /// <summary>Element type of the activations that come in: BF16 or float32.</summary>
    public MoeElementType InputType { get; init; } = MoeElementType.BFloat16;

    /// <summary>Element type of the result: BF16 or float32.</summary>
    public MoeElementType OutputType { get; init; } = MoeElementType.BFloat16;

    /// <summary>
    /// Whether the host pads the input and slices the output even of a method that needs neither: what the padding costs can be measured so.
    /// </summary>
    public bool ForcePadding { get; init; }

    /// <summary>The part of the layer that is made, one of several ranks'; its outputs are to be summed with theirs.</summary>
    public MoePart Part { get; init; } = MoePart.Whole;

    /// <summary>
    /// Whether each rank brings tokens of its own (data-parallel attention): a forward then dispatches the tokens of all ranks to every rank,
    /// or only to those that have a token's experts where these are known before, and combines the sums so that each rank gets those of its own tokens. If not, every rank is handed all tokens.
    /// </summary>
    public bool DispatchTokens { get; init; }

    /// <summary>What the layer has in common with those that it takes turns with; null where its forwards may overlap with any others, each with a state of its own.</summary>
    public MoeTurns? Turns { get; init; }
}
