namespace Moe.Plugins;

/// <summary>What one element of a tensor is.</summary>
public enum MoeElementType
{
    /// <summary>Raw bytes: MXFP4 codes (two per byte, low nibble first) and E8M0 scale factors.</summary>
    UInt8 = 0,

    /// <summary>32-bit signed integer: expert ids and token ids.</summary>
    Int32 = 1,

    /// <summary>The upper half of an IEEE 754 binary32.</summary>
    BFloat16 = 2,

    /// <summary>IEEE 754 binary32.</summary>
    Float32 = 3,

    /// <summary>IEEE 754 binary16.</summary>
    Float16 = 4,

    /// <summary>8-bit signed integer; some checkpoints give MXFP4 codes this type.</summary>
    Int8 = 5,

    /// <summary>FP8: sign, four bits of exponent with bias 7, three of mantissa, no infinity (OCP 8-bit Floating Point Specification, E4M3).</summary>
    Float8E4M3 = 6,

    /// <summary>A power of two, 2^(byte − 127), 255 for NaN (OCP Microscaling Formats v1.0, §5.4.1). Never a number to convert by value.</summary>
    Float8E8M0 = 7,

    /// <summary>64-bit signed integer: token tables.</summary>
    Int64 = 8,
}
