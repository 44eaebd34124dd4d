namespace Moe.Plugins.Kernels;

/// <summary>What the products' activations are rounded to. The products multiply BF16 numbers either way.</summary>
public enum Mxfp4Activations
{
    /// <summary>BF16.</summary>
    BFloat16,

    /// <summary>
    /// MXFP8: E4M3 values with an E8M0 scale for each 32 (<c>mxfp8_rule.cuh</c>). The first product takes them so and rounds its own results so.
    /// BF16 has a number for each but those beyond its range.
    /// </summary>
    Mxfp8,
}
