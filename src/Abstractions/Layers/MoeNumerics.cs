namespace Moe.Plugins;

/// <summary>What a method promises about its arithmetic; the conformance kit holds it to that.</summary>
public sealed record MoeNumerics
{
    /// <summary>
    /// Largest ‖output − reference‖ / ‖reference‖ against a float64 computation from the same dequantised weights and the same
    /// activations, on data of ordinary scale.
    /// </summary>
    public required double RelativeError { get; init; }

    /// <summary>
    /// What activations are rounded to before both products, where that is most of <see cref="RelativeError"/>: the kit then holds what the method loses
    /// besides to <see cref="ErrorBeyondRounding"/>.
    /// </summary>
    public MoeActivationRounding ActivationRounding { get; init; }

    /// <summary>
    /// Largest relative error, as above, against a float64 computation that rounds activations as <see cref="ActivationRounding"/> says; NaN where that is
    /// none.
    /// </summary>
    public double ErrorBeyondRounding { get; init; } = double.NaN;

    /// <summary>What happens to activations and sums, for people: "BF16 activations, float32 accumulation".</summary>
    public required string Description { get; init; }

    /// <summary>Whether the same input gives the same bits each time.</summary>
    public bool IsDeterministic { get; init; }
}

/// <summary>A rule by which activations are rounded before both products of an expert.</summary>
public enum MoeActivationRounding
{
    /// <summary>None, or none that counts beside the rest.</summary>
    None = 0,

    /// <summary>
    /// MXFP8: E4M3 with one power of two for each 32 values of a row, 2^ceil(log2(amax / 448)) for the largest magnitude amax of the 32; to nearest, ties to
    /// even.
    /// </summary>
    Mxfp8 = 1,
}
