namespace Moe.Plugins;

/// <summary>The layer that a backend is asked about.</summary>
public sealed record MoeProbeRequest
{
    /// <summary>The layer.</summary>
    public required MoeLayerShape Shape { get; init; }

    /// <summary>The device it shall run on; null lets the backend choose.</summary>
    public MoeDevice? Device { get; init; }

    /// <summary>Element type of the activations that come in.</summary>
    public MoeElementType InputType { get; init; } = MoeElementType.BFloat16;

    /// <summary>Element type of the result.</summary>
    public MoeElementType OutputType { get; init; } = MoeElementType.BFloat16;
}
