namespace Moe.Plugins;

/// <summary>What a method promises about its arithmetic; the conformance kit holds it to that.</summary>
public sealed record MoeNumerics
{
    /// <summary>
    /// Largest ‖output − reference‖ / ‖reference‖ against a float64 computation from the same dequantised weights and the same
    /// activations, on data of ordinary scale.
    /// </summary>
    public required double RelativeError { get; init; }

    /// <summary>What happens to activations and sums, for people: "BF16 activations, float32 accumulation".</summary>
    public required string Description { get; init; }

    /// <summary>Whether the same input gives the same bits each time.</summary>
    public bool IsDeterministic { get; init; }
}
