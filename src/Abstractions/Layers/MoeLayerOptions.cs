namespace Moe.Plugins;

/// <summary>What the host, not the model, decides about a layer.</summary>
public sealed record MoeLayerOptions
{
    /// <summary>The most tokens that one forward may bring. Workspaces are sized for it, once.</summary>
    public int MaxTokens { get; init; } = 1024;

    /// <summary>Element type of the activations that come in: BF16 or float32.</summary>
    public MoeElementType InputType { get; init; } = MoeElementType.BFloat16;

    /// <summary>Element type of the result: BF16 or float32.</summary>
    public MoeElementType OutputType { get; init; } = MoeElementType.BFloat16;

    /// <summary>The expert-parallel dispatcher; null where tokens stay on this device.</summary>
    public IMoeDispatcher? Dispatcher { get; init; }
}
