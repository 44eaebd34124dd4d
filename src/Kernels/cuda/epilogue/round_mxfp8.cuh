// MXFP8 of a product's results in the epilogue, where the next product multiplies BF16: they become the BF16 numbers that
// their codes and scales stand for.
//
// Four warps have a block of 32 neurons of up to 64 tokens, 8 neurons each: lane 4g + t has neuron g of tokens 8j + 2t and the one after it, for
// each j: pair 4j + t. What they tell each other through shared memory is a word a warp and pair.
#pragma once
#include "epilogue/activation.cuh"
#include "formats/mxfp8.cuh"

/// Words of shared memory for so many tokens, in fours: whole steps of 32.
constexpr int mxfp8_pairs(int tokens)
{
    return (tokens + 31) / 32 * 16;
}

/// What stands for the magnitudes of two results where their block's scale is sought: BF16, rounded up. The bounds between scales, 1.75 · 2^e,
/// are BF16 numbers, so that nothing crosses one.
__device__ __forceinline__ u32 magnitudes_bf16x2(float low, float high)
{
    return __byte_perm(__float_as_uint(low) + 0xffffu, __float_as_uint(high) + 0xffffu, 0x7632) & 0x7fff7fffu;
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

/// mxfp8_scale of two magnitudes in BF16, in the halves of a word, each at BF16's exponent: the powers of two that codes are multiplied by. Infinity has the
/// scale of the largest number, which leaves it infinite, and NaN, which nothing but NaN has for its largest, any.
__device__ __forceinline__ u32 mxfp8_powers(u32 magnitudes)
{
    // What is added carries into the exponent above 1.75; eight less, and nothing below 0.
    return (max_bf16x2(min_bf16x2(magnitudes, 0x7f617f61u) + 0x001f001fu, 0x04000400u) & 0x7f807f80u) - 0x04000400u;
}

/// The scale bytes, in the halves of a word.
__device__ __forceinline__ u32 mxfp8_scales(u32 magnitudes)
{
    return mxfp8_powers(magnitudes) >> 7;
}

/// mxfp8_powers of a pair of tokens, when all four warps have published. A lane finds those of one pair, and others take them from it: they are the same
/// for eight lanes of each warp.
__device__ __forceinline__ u32 mxfp8_powers(const uint4& largest)
{
    return mxfp8_powers(max_bf16x2(max_bf16x2(largest.x, largest.y), max_bf16x2(largest.z, largest.w)));
}

/// Results of a pair of tokens: rounded, and widened again.
__device__ __forceinline__ u32 round_mxfp8x2(float low, float high, u32 powers)
{
    // Multipliers as mxfp8_multiplier has them, but for scale byte 0: the codes are other than 0 then, and become so as they are widened.
    const float first = __uint_as_float(0x7f000000u - (powers << 16)), second = __uint_as_float(0x7f000000u - (powers & 0xffff0000u));
    return widen_e4m3x2(pack_e4m3(low * first, high * second), powers);
}

/// How store_act (store_tile.cuh) rounds to MXFP8.
struct RoundMxfp8
{
    static constexpr bool kAsksOthers = true;

    uint4* largest;  // shared memory of the warpgroup, mxfp8_pairs of the tokens that it stores at once

    static constexpr int shared_bytes(int groups, int tokens) { return groups * mxfp8_pairs(tokens) * 16; }

    /// One array for all widths of a tile.
    template <int kGroups, int kTokens>
    static __device__ __forceinline__ RoundMxfp8 of(int group)
    {
        __shared__ uint4 largest[kGroups][mxfp8_pairs(kTokens)];
        return {largest[group]};
    }

    /// Nobody still reads what was published before: that is behind the barrier before the last rows left.
    template <int kColumns, int kPart, typename TActivation>
    __device__ __forceinline__ void prepare(const TActivation& activation, float* d, const float2& b, int part) const
    {
        const int warp = threadIdx.x % 128 / 32;
#pragma unroll
        for (int token = part; token < min(part + kPart, kColumns); token += 32)
        {
            u32 magnitudes[4] = {};
#pragma unroll
            for (int i = 0; i < 4; i++)
            {
                const int at = token / 2 + i * 4;
                if (at < kColumns / 2)
                {
                    d[at] = activation(d[at] + b.x, d[at + 2] + b.y);
                    d[at + 1] = activation(d[at + 1] + b.x, d[at + 3] + b.y);
                    magnitudes[i] = magnitudes_bf16x2(d[at], d[at + 1]);
                }
            }

            publish_magnitudes(largest, (token - part) / 2, warp, magnitudes);
        }
    }

    /// Those of pair lane % mxfp8_pairs.
    template <int kPart>
    __device__ __forceinline__ u32 scales() const
    {
        static_assert(mxfp8_pairs(kPart) <= 32, "a lane for each pair");
        return mxfp8_powers(largest[threadIdx.x % mxfp8_pairs(kPart)]);
    }

    template <typename TActivation>
    __device__ __forceinline__ u32 round(const TActivation&, const float* d, const float2&, int pair, u32 scales) const
    {
        return round_mxfp8x2(d[0], d[1], __shfl_sync(~0u, scales, pair));
    }

    /// The same where a warp has 16 neurons, two of a lane: half a block.
    template <int kColumns, int kPart>
    __device__ __forceinline__ void prepare_rows(const float* d, int part) const
    {
        u32 magnitudes[4] = {};
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            const int at = part / 2 + i * 4;
            if (at < kColumns / 2)
            {
                magnitudes[i] = max_bf16x2(magnitudes_bf16x2(d[at], d[at + 1]), magnitudes_bf16x2(d[at + 2], d[at + 3]));
            }
        }

        static_assert(kPart <= 32, "one step");
        publish_magnitudes(largest, 0, threadIdx.x % 128 / 32, magnitudes);
    }

    template <int kPart>
    __device__ __forceinline__ u32 scales_rows() const
    {
        const uint4 all = largest[threadIdx.x % mxfp8_pairs(kPart)];
        return mxfp8_powers(threadIdx.x % 128 < 64 ? max_bf16x2(all.x, all.y) : max_bf16x2(all.z, all.w));
    }

    /// One neuron's results of two tokens.
    __device__ __forceinline__ u32 round_rows(const float* d, int pair, u32 scales) const
    {
        return round_mxfp8x2(d[0], d[1], __shfl_sync(~0u, scales, pair));
    }
};
