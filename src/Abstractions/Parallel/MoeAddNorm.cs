namespace Moe.Plugins;

/// <summary>A residual that is added to a sum, and an RMSNorm of the result. Either may be left out.</summary>
public readonly struct MoeAddNorm
{
    /// <summary>
    /// [1, width] BF16 or float32: the norm's weight. Empty where nothing is normed: the output is then the sum with the residual.
    /// </summary>
    public MoeTensorView NormWeight { get; init; }

    /// <summary>Added to the mean of the squares.</summary>
    public float Epsilon { get; init; }

    /// <summary>
    /// [rows, width] of the group's element type, any row stride, the same values on all ranks; empty where nothing is added.
    /// </summary>
    public MoeTensorView Residual { get; init; }

    /// <summary>
    /// [rows, width] of the group's element type, any row stride: where the sum with the residual goes. It may be <see cref="Residual"/>
    /// itself; empty where nobody wants it.
    /// </summary>
    public MoeTensorView ResidualOutput { get; init; }
}
