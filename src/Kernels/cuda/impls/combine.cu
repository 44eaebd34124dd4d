// y = Σ over k of weight_k · (Σ over splits of partial_k + bias of its expert), for each token. A thread makes 8 columns of a token; blocks of 128
// threads, ceil(tokens · hidden / 8 / 128) of them.
#include "ptx/ptx.cuh"

struct CombineParameters
{
    const void* partial;   // [splits, tokens · top_k, partial_stride], float32, or BF16 if partial_is_bf16
    const int* ids;        // [tokens, top_k]
    const float* weights;  // [tokens, top_k]
    const float* bias;     // [experts, hidden], or null: of this device's experts
    void* out;             // [tokens, out_stride], BF16, or float32 if out_is_float
    i64 partial_stride;    // elements, a multiple of 8
    i64 split_stride;      // elements between splits, a multiple of 8
    i64 out_stride;        // elements, any
    int tokens;
    int hidden;            // a multiple of 8
    int top_k;
    int splits;
    int experts;           // of this device: others add nothing
    int first_expert;      // the id of the first of them
    int partial_is_bf16;
    int out_is_float;
};

/// What shared experts add to each token.
struct SharedCombineParameters
{
    CombineParameters routed;
    const void* partial;  // [splits, tokens, hidden], float32, or BF16 if partial_is_bf16
    const float* opened;  // [tokens]: what it is multiplied by, or null
    i64 split_stride;     // elements, a multiple of 8
    int splits;
    int partial_is_bf16;
};

namespace
{
constexpr int kColumns = 8;

/// 8 values.
template <typename T>
struct Values;

template <>
struct Values<float>
{
    float4 low, high;

    __device__ __forceinline__ void add_to(float (&sum)[kColumns], float weight) const
    {
        const float v[kColumns] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
        for (int c = 0; c < kColumns; c++)
        {
            sum[c] += weight * v[c];
        }
    }
};

template <>
struct Values<u16>
{
    uint4 packed;

    __device__ __forceinline__ void add_to(float (&sum)[kColumns], float weight) const
    {
        const u32 words[kColumns / 2] = {packed.x, packed.y, packed.z, packed.w};
#pragma unroll
        for (int c = 0; c < kColumns / 2; c++)
        {
            sum[2 * c] += weight * __uint_as_float(words[c] << 16);
            sum[2 * c + 1] += weight * __uint_as_float(words[c] & 0xffff0000u);
        }
    }
};

/// kAtOnce: choices whose loads are under way together.
template <typename T, int kAtOnce>
__device__ __forceinline__ void combine(const CombineParameters& p, i64 token, int column, float (&sum)[kColumns])
{
    for (int k0 = 0; k0 < p.top_k; k0 += kAtOnce)
    {
        // Ids and weights are older than the launch before this one, so they and the biases may be read before its end.
        float weight[kAtOnce];
        bool counts[kAtOnce];
#pragma unroll
        for (int i = 0; i < kAtOnce; i++)
        {
            const i64 pair = token * p.top_k + min(k0 + i, p.top_k - 1);
            const int expert = p.ids[pair] - p.first_expert;
            counts[i] = k0 + i < p.top_k && (u32)expert < (u32)p.experts;
            weight[i] = p.weights[pair];
            if (counts[i] && p.bias != nullptr)
            {
                ((const Values<float>*)(p.bias + (i64)expert * p.hidden + column))->add_to(sum, weight[i]);
            }
        }

        if (k0 == 0)
        {
            wait_for_previous_launch();
        }

        // Loads without branches, so that all of them are under way together.
        for (int s = 0; s < p.splits; s++)
        {
            Values<T> v[kAtOnce];
#pragma unroll
            for (int i = 0; i < kAtOnce; i++)
            {
                const i64 pair = token * p.top_k + min(k0 + i, p.top_k - 1);
                v[i] = *(const Values<T>*)((const T*)p.partial + s * p.split_stride + pair * p.partial_stride + column);
            }

#pragma unroll
            for (int i = 0; i < kAtOnce; i++)
            {
                if (counts[i])
                {
                    v[i].add_to(sum, weight[i]);
                }
            }
        }
    }
}

template <typename T>
__device__ __forceinline__ void add_shared(const SharedCombineParameters& q, i64 token, int column, float (&sum)[kColumns])
{
    const float weight = q.opened != nullptr ? q.opened[token] : 1.0f;
    for (int s = 0; s < q.splits; s++)
    {
        ((const Values<T>*)((const T*)q.partial + s * q.split_stride + token * q.routed.hidden + column))->add_to(sum, weight);
    }
}

template <bool kShared, int kAtOnce>
__device__ __forceinline__ void combine_token(const CombineParameters& p, const SharedCombineParameters* q = nullptr)
{
    allow_next_launch();
    const int pieces = p.hidden / kColumns;
    const i64 piece = (i64)blockIdx.x * 128 + threadIdx.x, token = piece / pieces;
    const int column = (int)(piece % pieces) * kColumns;
    if (token >= p.tokens)
    {
        return;
    }

    float sum[kColumns] = {};
    if (p.partial_is_bf16)
    {
        combine<u16, kAtOnce>(p, token, column, sum);
    }
    else
    {
        combine<float, 4>(p, token, column, sum);
    }

    if constexpr (kShared)
    {
        q->partial_is_bf16 ? add_shared<u16>(*q, token, column, sum) : add_shared<float>(*q, token, column, sum);
    }

    // The caller's rows may begin anywhere, so wide stores only where this one is aligned.
    if (p.out_is_float)
    {
        float* out = (float*)p.out + token * p.out_stride + column;
        if ((u64)out % 16 == 0)
        {
            ((float4*)out)[0] = make_float4(sum[0], sum[1], sum[2], sum[3]);
            ((float4*)out)[1] = make_float4(sum[4], sum[5], sum[6], sum[7]);
            return;
        }

#pragma unroll
        for (int c = 0; c < kColumns; c++)
        {
            out[c] = sum[c];
        }
    }
    else
    {
        u16* out = (u16*)p.out + token * p.out_stride + column;
        const u32 packed[kColumns / 2] = {pack_bf16(sum[0], sum[1]), pack_bf16(sum[2], sum[3]), pack_bf16(sum[4], sum[5]), pack_bf16(sum[6], sum[7])};
        if ((u64)out % 16 == 0)
        {
            *(uint4*)out = make_uint4(packed[0], packed[1], packed[2], packed[3]);
            return;
        }

#pragma unroll
        for (int c = 0; c < kColumns; c++)
        {
            out[c] = (u16)(packed[c / 2] >> 16 * (c % 2));
        }
    }
}
}

// How many blocks a multiprocessor shall have room for keeps the compiler from spilling to make room for more.
extern "C" __global__ void __launch_bounds__(128, 7) moe_combine(const __grid_constant__ CombineParameters p)
{
    combine_token<false, 4>(p);
}

/// For more than 4 choices.
extern "C" __global__ void __launch_bounds__(128, 6) moe_combine_many(const __grid_constant__ CombineParameters p)
{
    combine_token<false, 8>(p);
}

extern "C" __global__ void __launch_bounds__(128, 7) moe_combine_shared(const __grid_constant__ SharedCombineParameters q)
{
    combine_token<true, 4>(q.routed, &q);
}

extern "C" __global__ void __launch_bounds__(128, 5) moe_combine_shared_many(const __grid_constant__ SharedCombineParameters q)
{
    combine_token<true, 8>(q.routed, &q);
}
