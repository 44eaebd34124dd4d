namespace Moe.Plugins;

/// <summary>
/// Experts narrower than the residual stream (Nemotron-3, Kimi-K3): y = up · norm(Σ w · expert(down · x)). Router and shared experts read
/// the full width.
/// </summary>
public sealed record MoeLatentExperts
{
    /// <summary>Width of the experts' input and output.</summary>
    public required int Width { get; init; }

    /// <summary>How the checkpoint stores the two projections.</summary>
    public MoeWeightFormat WeightFormat { get; init; } = MoeWeightFormat.BFloat16;

    /// <summary>Epsilon of the RMS norm of the experts' sum; null where it has none.</summary>
    public float? NormEpsilon { get; init; }
}
