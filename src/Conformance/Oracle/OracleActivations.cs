namespace Moe.Plugins.Conformance;

/// <summary>What the oracle does to the vectors that an expert's products multiply. The router always sees the input as it is.</summary>
public enum OracleActivations
{
    /// <summary>Nothing: float64.</summary>
    Exact = 0,

    /// <summary>
    /// MXFP8: E4M3 values with one scale for each 32 of a row, both before the first product and between the two. The scale is
    /// 2^ceil(log2(amax / 448)) for the block's largest magnitude amax, at least 2^−127 and at most 2^127; values round to nearest
    /// even and saturate at 448 times the scale; a scale of 2^−127 makes all of its values 0 (FlashInfer's <c>mxfp8_quantize</c>).
    /// </summary>
    Mxfp8 = 1,
}
