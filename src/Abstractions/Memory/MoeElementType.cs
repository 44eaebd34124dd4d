namespace Moe.Plugins;

/// <summary>What one element of a tensor is.</summary>
public enum MoeElementType
{
    /// <summary>Raw bytes: MXFP4 codes (two a byte, low nibble first) and E8M0 scale factors.</summary>
    UInt8 = 0,

    /// <summary>32-bit signed integer: expert ids.</summary>
    Int32 = 1,

    /// <summary>The upper half of an IEEE 754 binary32.</summary>
    BFloat16 = 2,

    /// <summary>IEEE 754 binary32.</summary>
    Float32 = 3,
}
