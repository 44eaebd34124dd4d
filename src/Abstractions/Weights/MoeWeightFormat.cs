namespace Moe.Plugins;

/// <summary>How weights are stored in the checkpoint.</summary>
public enum MoeWeightFormat
{
    /// <summary>
    /// OCP Microscaling FP4: E2M1 codes, two per byte, low nibble first along the input dimension, one E8M0 scale factor for each
    /// block of 32 inputs (OCP Microscaling Formats v1.0, §5.1 and §5.4). The input dimension is a multiple of 32.
    /// </summary>
    Mxfp4 = 0,

    /// <summary>BF16, unquantised.</summary>
    BFloat16 = 1,

    /// <summary>IEEE 754 binary16, unquantised.</summary>
    Float16 = 2,

    /// <summary>IEEE 754 binary32, unquantised.</summary>
    Float32 = 3,

    /// <summary>
    /// E4M3 values, one scale for each block of outputs and inputs (128 by 128, or 32 by 32) in float32 or E8M0; value × scale, despite
    /// the name <c>weight_scale_inv</c> (transformers, <c>integrations/finegrained_fp8.py</c>).
    /// </summary>
    Fp8Block = 4,

    /// <summary>
    /// E2M1 codes as in MXFP4, one E4M3 scale for each block of 16 inputs, and one float32 scale per matrix; code × scale × global scale.
    /// The input dimension is a multiple of 16.
    /// </summary>
    Nvfp4 = 5,
}
