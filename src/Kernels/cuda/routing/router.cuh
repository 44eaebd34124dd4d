// What both routers share: their parameters, and the choice of a token's experts from its logits.
#pragma once
#include "routing/sort.cuh"

struct RouterParameters
{
    const u16* x;        // BF16 [tokens, x_stride]; rows 16-byte aligned
    const u16* weight;   // BF16 [terms, experts, hidden]: float32 weights travel as a sum of three BF16 terms
    const float* bias;   // [experts], or null
    int* ids;            // [tokens, top_k]
    float* weights;      // [tokens, top_k]
    SortTarget target;   // where the sort writes, if sort is not 0
    i64 x_stride;        // elements
    int tokens;
    int hidden;          // a multiple of 8
    int experts;         // 1 to 512
    int top_k;           // 1 to 32
    int terms;           // 1 or 3
    int scoring;         // 0 softmax over the chosen, 1 softmax over all, 2 softmax over all and renormalised
    int sort;
    int reserved;
};

/// Orders floats as unsigned integers.
__device__ __forceinline__ u32 order_key(float v)
{
    const u32 bits = __float_as_uint(v);
    return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

__device__ __forceinline__ float key_value(u32 key)
{
    return __uint_as_float(key & 0x80000000u ? key ^ 0x80000000u : ~key);
}

/// A logit's key among those to choose from. 0 stands for none: only one NaN pattern has that key.
__device__ __forceinline__ u32 logit_key(float logit)
{
    return max(order_key(logit), 1u);
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

/// One warp, one token, whose keys are used up. Returns lane k's choice.
template <int kSlots>
__device__ __forceinline__ int choose_experts(const RouterParameters& p, int token, u32 (&keys)[kSlots])
{
    const int lane = threadIdx.x % 32;
    float largest = 0.0f, denominator = 0.0f;
    if (p.scoring != 0)
    {
        u32 best = 0;
#pragma unroll
        for (int j = 0; j < kSlots; j++)
        {
            best = max(best, keys[j]);
        }

        largest = key_value(__reduce_max_sync(~0u, best));
#pragma unroll
        for (int j = 0; j < kSlots; j++)
        {
            denominator += keys[j] != 0 ? expf(key_value(keys[j]) - largest) : 0.0f;
        }

        denominator = warp_sum(denominator);
    }

    int my_id = 0;
    float my_logit = 0.0f;
#pragma unroll 1
    for (int k = 0; k < p.top_k; k++)
    {
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
        const int id = __reduce_min_sync(~0u, best == winner ? at : 0x7fffffff);
#pragma unroll
        for (int j = 0; j < kSlots; j++)
        {
            keys[j] = j * 32 + lane == id ? 0 : keys[j];
        }

        if (lane == k)
        {
            my_id = id;
            my_logit = key_value(winner);
        }
    }

    if (p.scoring == 0)
    {
        largest = __shfl_sync(~0u, my_logit, 0);
    }

    const float e = lane < p.top_k ? expf(my_logit - largest) : 0.0f;
    if (p.scoring == 0)
    {
        denominator = warp_sum(e);
    }

    float weight = __fdividef(e, denominator);
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
