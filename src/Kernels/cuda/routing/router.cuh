// What all routers share: their parameters, and the choice of a token's experts from its logits by one warp.
#pragma once
#include "routing/sort.cuh"

struct RouterParameters
{
    const u16* x;        // BF16 [tokens, x_stride]; rows 16-byte aligned
    const u16* weight;   // BF16 [terms, experts, hidden]: float32 weights travel as a sum of three BF16 terms
    const float* bias;   // [1024], or null
    int* ids;            // [tokens, top_k]
    float* weights;      // [tokens, top_k]
    SortTarget target;   // where the sort writes, if sort is not 0
    i64 x_stride;        // elements
    int tokens;
    int hidden;          // a multiple of 8
    int experts;         // 1 to 1024
    int top_k;           // 1 to 32
    int terms;           // 1 or 3
    int scoring;         // PresetChoice: 0 softmax over the chosen, 1 softmax over all, 2 softmax over all and renormalised
    int sort;
    int reserved;
};

/// Orders floats as unsigned integers.
__device__ __forceinline__ u32 order_key(float v)
{
    const u32 bits = __float_as_uint(v);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

/// The key of NaN among those to choose from, before every number's. 0 stands for none.
constexpr u32 kNanKey = 1;

__device__ __forceinline__ u32 rank_key(float rank)
{
    return rank == rank ? order_key(rank) : kNanKey;
}

/// NaN for kNanKey.
__device__ __forceinline__ float key_value(u32 key)
{
    return __uint_as_float(key & 0x80000000u ? key ^ 0x80000000u : ~key);
}

__device__ __forceinline__ float warp_sum(float v)
{
#pragma unroll
    for (int d = 16; d > 0; d /= 2)
    {
        v += __shfl_xor_sync(~0u, v, d);
    }

    return v;
}

/// The largest of a warp's keys, and of equal ones that of the lowest expert. Lane l has those of experts l, l + 32, …
struct BestKey
{
    u32 key;
    int id;

    template <int kSlots>
    static __device__ __forceinline__ BestKey of(const u32 (&keys)[kSlots])
    {
        const int lane = threadIdx.x % 32;
        u32 best = 0;
        int at = 0;
#pragma unroll
        for (int j = kSlots - 1; j >= 0; j--)
        {
            if (keys[j] >= best)
            {
                best = keys[j];
                at = j * 32 + lane;
            }
        }

        const u32 winner = __reduce_max_sync(~0u, best);
        return {winner, __reduce_min_sync(~0u, best == winner ? at : 0x7fffffff)};
    }
};

/// What a softmax over all experts subtracts and divides by.
struct SoftmaxOfAll
{
    float largest, denominator;

    template <int kSlots>
    static __device__ __forceinline__ SoftmaxOfAll of(const u32 (&keys)[kSlots])
    {
        u32 best = 0;
#pragma unroll
        for (int j = 0; j < kSlots; j++)
        {
            best = max(best, keys[j]);
        }

        const float largest = key_value(__reduce_max_sync(~0u, best));
        float sum = 0.0f;
#pragma unroll
        for (int j = 0; j < kSlots; j++)
        {
            sum += keys[j] != 0 ? expf(key_value(keys[j]) - largest) : 0.0f;
        }

        return {largest, warp_sum(sum)};
    }
};

/// The programs that need no constants: GPT-OSS's, OLMoE's, Qwen3's.
struct PresetChoice
{
    static constexpr int kAtOnce = 4;  // tokens that a warp chooses for side by side, where they have few experts

    /// Nothing.
    template <int kSlots>
    __device__ __forceinline__ void fetch(u32 (&keys)[kSlots]) const
    {
    }

    /// One warp, one token; lane l has the logits of experts l, l + 32, … Returns lane k's choice. `keys` is what fetch made, and is overwritten.
    template <int kSlots>
    __device__ __forceinline__ int choose(const RouterParameters& p, int token, float (&logits)[kSlots], u32 (&keys)[kSlots]) const
    {
        const int lane = threadIdx.x % 32;
#pragma unroll
        for (int j = 0; j < kSlots; j++)
        {
            keys[j] = j * 32 + lane < p.experts ? rank_key(logits[j]) : 0;
        }

        SoftmaxOfAll softmax = {0.0f, 0.0f};
        if (p.scoring != 0)
        {
            softmax = SoftmaxOfAll::of(keys);
        }

        int my_id = 0;
        float my_logit = 0.0f;
#pragma unroll 1
        for (int k = 0; k < p.top_k; k++)
        {
            const BestKey best = BestKey::of(keys);
#pragma unroll
            for (int j = 0; j < kSlots; j++)
            {
                keys[j] = j * 32 + lane == best.id ? 0 : keys[j];
            }

            if (lane == k)
            {
                my_id = best.id;
                my_logit = key_value(best.key);
            }
        }

        if (p.scoring == 0)
        {
            softmax.largest = __shfl_sync(~0u, my_logit, 0);
        }

        const float e = lane < p.top_k ? expf(my_logit - softmax.largest) : 0.0f;
        if (p.scoring == 0)
        {
            softmax.denominator = warp_sum(e);
        }

        float weight = __fdividef(e, softmax.denominator);
        if (p.scoring == 2)
        {
            weight = __fdividef(weight, warp_sum(weight));
        }

        if (lane < p.top_k && token < p.tokens)
        {
            p.ids[(i64)token * p.top_k + lane] = my_id;
            p.weights[(i64)token * p.top_k + lane] = weight;
        }

        return my_id;
    }
};
