namespace Moe.Plugins;

/// <summary>How the experts' weights are stored in the checkpoint.</summary>
public enum MoeWeightFormat
{
    /// <summary>
    /// OCP Microscaling FP4: E2M1 codes, two a byte, low nibble first along the input dimension, one E8M0 scale factor for each
    /// block of 32 (OCP Microscaling Formats v1.0, §5.1 and §5.4). The input dimension is a multiple of 32.
    /// </summary>
    Mxfp4 = 0,

    /// <summary>BF16, unquantised.</summary>
    BFloat16 = 1,
}
