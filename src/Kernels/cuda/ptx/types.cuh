// Integer types and BF16 conversions. Kernels are compiled by NVRTC without any toolkit header, so they are made here.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;  // also: one BF16 value
typedef unsigned int u32;    // also: two BF16 values, the earlier in the low half
typedef unsigned long long u64;
typedef long long i64;

/// Two floats as packed BF16, each rounded to nearest even; `low` is the earlier one in memory.
__device__ __forceinline__ u32 pack_bf16(float low, float high)
{
    u32 packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
}

__device__ __forceinline__ u16 float_to_bf16(float v)
{
    return (u16)pack_bf16(v, 0.0f);
}

template <typename T>
__device__ __forceinline__ T ceil_div(T a, T b)
{
    return (a + b - 1) / b;
}
