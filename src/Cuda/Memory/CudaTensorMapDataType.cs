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

    /// <summary>
    /// 4-bit elements, 16 of them (8 bytes) to each 16 bytes of shared memory (CUDA 12.8, compute capability 10.0 and newer).
    /// </summary>
    Packed16U4Align16 = 14,
}
