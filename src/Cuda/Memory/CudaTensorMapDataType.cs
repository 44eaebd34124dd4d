namespace Moe.Plugins.Cuda;

/// <summary>What a tensor map's elements are (<c>CUtensorMapDataType</c>).</summary>
public enum CudaTensorMapDataType
{
    /// <summary>Bytes; also FP8 and packed FP4.</summary>
    UInt8 = 0,

    /// <summary>16-bit integers.</summary>
    UInt16 = 1,

    /// <summary>32-bit integers.</summary>
    UInt32 = 2,

    /// <summary>IEEE half precision.</summary>
    Float16 = 6,

    /// <summary>IEEE single precision.</summary>
    Float32 = 7,

    /// <summary>bfloat16.</summary>
    BFloat16 = 9,

    /// <summary>16 packed 4-bit elements (8 bytes), spread to 16-byte-aligned places in shared memory (CUDA 12.8, sm_100a and newer).</summary>
    Packed16U4Align16 = 14,
}
