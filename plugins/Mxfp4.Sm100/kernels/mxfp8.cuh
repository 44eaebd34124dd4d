// MXFP8 on the device: the rule, and the conversion instruction where there is one.
#pragma once
#include "ptx.cuh"
#include "mxfp8_rule.cuh"

/// Two values as E4M3 codes, `low` the earlier one in memory.
__device__ __forceinline__ u32 pack_e4m3(float low, float high)
{
#if __CUDA_ARCH__ >= 890
    u16 packed;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(packed) : "f"(high), "f"(low));
    return packed;
#else
    return e4m3_from_float(low) | e4m3_from_float(high) << 8;
#endif
}

/// The larger of two pairs of BF16; of a number and NaN the number.
__device__ __forceinline__ u32 max_bf16x2(u32 a, u32 b)
{
    u32 v;
    asm("max.bf16x2 %0, %1, %2;" : "=r"(v) : "r"(a), "r"(b));
    return v;
}

/// Where the scale byte of row and block of 32 lies in tiles of 128 rows by 4 blocks, the order that the block-scaled matrix
/// instruction's scale copies read (PTX ISA, tcgen05.cp .32x128b; cuBLAS, "1D block scaling factors layout").
__device__ __forceinline__ i64 swizzled_scale_offset(i64 row, int block, int block_tiles)
{
    return ((row / 128 * block_tiles + block / 4) * 32 + row % 32) * 16 + row % 128 / 32 * 4 + block % 4;
}
