namespace Moe.Plugins;

/// <summary>A residual that is added to a sum, and an RMSNorm of the result.</summary>
public readonly struct MoeAddNorm
{
    /// <summary>[1, width] BF16 or float32: the norm's weight.</summary>
    public required MoeTensorView NormWeight { get; init; }

    /// <summary>Added to the mean of the squares.</summary>
    public required float Epsilon { get; init; }

    /// <summary>[rows, width] of the group's element type, any row stride; empty where nothing is added.</summary>
    public MoeTensorView Residual { get; init; }

    /// <summary>
    /// [rows, width] of the group's element type, any row stride: where the sum with the residual goes. It may be <see cref="Residual"/>
    /// itself; empty where nobody wants it.
    /// </summary>
    public MoeTensorView ResidualOutput { get; init; }
}
