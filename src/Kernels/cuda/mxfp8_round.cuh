// MXFP8 of a product's results on their way out of the accumulators, where the next product multiplies BF16: they become the BF16 numbers that
// their codes and scales stand for.
//
// Four warps have a block of 32 neurons of up to 64 tokens, 8 neurons each: lane 4g + t has neuron g of tokens 8j + 2t and the one after it, for
// each j: pair 4j + t. What they tell each other through shared memory is a word a warp and pair.
#pragma once
#include "mxfp8.cuh"

/// Words of shared memory for so many tokens, in fours: whole steps of 32.
constexpr int mxfp8_pairs(int tokens)
{
    return (tokens + 31) / 32 * 16;
}

/// What stands for the magnitudes of two results where their block's scale is sought: BF16, rounded up. The bounds between scales, 1.75 · 2^e,
/// are BF16 numbers, so that nothing crosses one.
__device__ __forceinline__ u32 magnitudes_bf16x2(float low, float high)
{
    return __byte_perm((__float_as_uint(low) & 0x7fffffffu) + 0xffffu, (__float_as_uint(high) & 0x7fffffffu) + 0xffffu, 0x7632);
}

/// A warp's share in the largest magnitudes of 32 tokens, from pair0 on: each round of the exchange halves what a lane goes on with, so that
/// lane 4g + t ends with word g / 2.
__device__ __forceinline__ void publish_magnitudes(uint4* largest, int pair0, int warp, const u32 (&words)[4])
{
    const int lane = threadIdx.x % 32;
    const bool upper = lane & 16, odd = lane & 8;
    const u32 first = max_bf16x2(upper ? words[2] : words[0], __shfl_xor_sync(~0u, upper ? words[0] : words[2], 16));
    const u32 second = max_bf16x2(upper ? words[3] : words[1], __shfl_xor_sync(~0u, upper ? words[1] : words[3], 16));
    u32 most = max_bf16x2(odd ? second : first, __shfl_xor_sync(~0u, odd ? first : second, 8));
    most = max_bf16x2(most, __shfl_xor_sync(~0u, most, 4));
    if (lane % 8 < 4)
    {
        ((u32*)(largest + pair0 + lane / 8 * 4 + lane % 4))[warp] = most;
    }
}

/// Results of a pair of tokens, when all four warps have published: rounded, and widened again.
__device__ __forceinline__ u32 round_mxfp8x2(float low, float high, const uint4& largest)
{
    const u32 most = max_bf16x2(max_bf16x2(largest.x, largest.y), max_bf16x2(largest.z, largest.w));
    const u32 amax[2] = {most << 16, most & 0xffff0000u};
    u32 scale[2];
#pragma unroll
    for (int i = 0; i < 2; i++)
    {
        scale[i] = mxfp8_scale(amax[i] > 0x7f800000u ? 0 : amax[i]);  // only a block of nothing but NaN has none for its largest
    }

    const u32 codes = pack_e4m3(low * mxfp8_multiplier(scale[0]), high * mxfp8_multiplier(scale[1]));
    return widen_e4m3x2(__byte_perm(codes, 0, 0x1404), scale[0] | scale[1] << 16);
}
