// MXFP8 on the device: the rule, and the conversion instruction where there is one.
#pragma once
#include "ptx/ptx.cuh"
#include "formats/mxfp8_rule.cuh"

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

/// Two E4M3 codes, each in the upper byte of a half, times 2^(scale − 127) as BF16, scales being two bytes in the halves of a word: exact but
/// for what BF16 has no number for, below 2^−133 and above its largest. NaN stays NaN.
__device__ __forceinline__ u32 widen_e4m3x2(u32 codes, u32 scales)
{
    // Exponent and mantissa bits, where BF16 has its lowest, are the magnitude · 2^−120, subnormal included. A scale byte is BF16's exponent.
    const u32 magnitudes = codes >> 4 & 0x07f007f0u, nan = (magnitudes + 0x00100010u & 0x08000800u) >> 11;
    const u32 values = multiply_bf16x2(codes & 0x80008000u | magnitudes, 0x7b807b80u);
    return multiply_bf16x2(values, scales << 7) | nan * 0x7fc0u;
}

/// Where the scale byte of row and block of 32 lies in tiles of 128 rows by 4 blocks, the order that the block-scaled matrix
/// instruction's scale copies read (PTX ISA, tcgen05.cp .32x128b; cuBLAS, "1D block scaling factors layout").
__device__ __forceinline__ i64 swizzled_scale_offset(i64 row, int block, int block_tiles)
{
    return ((row / 128 * block_tiles + block / 4) * 32 + row % 32) * 16 + row % 128 / 32 * 4 + block % 4;
}
