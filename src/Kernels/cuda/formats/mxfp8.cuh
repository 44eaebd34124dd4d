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

/// Two E4M3 codes, in the lower half of a word, times powers of two as BF16: exact but for what BF16 has no number for, below 2^−133 and above its largest.
/// NaN stays NaN. The powers are scale bytes at BF16's exponents: 2^(scale − 127), and 0 for byte 0.
__device__ __forceinline__ u32 widen_e4m3x2(u32 codes, u32 powers)
{
#if __CUDA_ARCH__ >= 890
    // Half precision has a number for every code, and BF16 for each of those.
    float low, high;
    asm("{\n.reg .b16 first, second;\n.reg .b32 halves;\ncvt.rn.f16x2.e4m3x2 halves, %2;\nmov.b32 {first, second}, halves;\n"
        "cvt.f32.f16 %0, first;\ncvt.f32.f16 %1, second;\n}" : "=f"(low), "=f"(high) : "h"((u16)codes));
    return multiply_bf16x2(pack_bf16(low, high), powers);
#else
    // Exponent and mantissa bits, where BF16 has its lowest, are the magnitude · 2^−120, subnormal included.
    const u32 spread = __byte_perm(codes, 0, 0x1404), magnitudes = spread >> 4 & 0x07f007f0u, nan = (magnitudes + 0x00100010u & 0x08000800u) >> 11;
    const u32 values = multiply_bf16x2(spread & 0x80008000u | magnitudes, 0x7b807b80u);
    return multiply_bf16x2(values, powers) | nan * 0x7fc0u;
#endif
}

/// Where the scale byte of row and block of 32 lies in tiles of 128 rows by 4 blocks, the order that the block-scaled matrix
/// instruction's scale copies read (PTX ISA, tcgen05.cp .32x128b; cuBLAS, "1D block scaling factors layout").
__device__ __forceinline__ i64 swizzled_scale_offset(i64 row, int block, int block_tiles)
{
    return ((row / 128 * block_tiles + block / 4) * 32 + row % 32) * 16 + row % 128 / 32 * 4 + block % 4;
}
