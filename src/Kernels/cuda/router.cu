// The router: logits = x · Wᵀ + b in float32, the top k of them (of equal logits the lowest expert id), their weights; for few tokens the
// last block also sorts the (token, k) pairs by expert. Blocks of 256 threads; block (i, j, s) computes logits of 8 · kTiles tokens and
// 16 · expert_warps experts over the s-th part of the inner dimension; the last block of a token tile to finish does the rest.
// Dynamic shared memory: the larger of 4096 · kTiles bytes and (8 · experts + 64 + tokens · top_k) · 4 bytes if it sorts.
#include "sort.cuh"

struct RouterParameters
{
    const u16* x;           // BF16 [tokens, x_stride]; rows 16-byte aligned
    const u16* weight;      // BF16 [terms, experts, hidden]: float32 weights travel as a sum of three BF16 terms
    const float* bias;      // [experts], or null
    float* partial_logits;  // [gridDim.z, tokens, experts]
    int* ids;               // [tokens, top_k]
    float* weights;         // [tokens, top_k]
    int* tickets;           // [gridDim.x + 1], zero before the first launch; each launch leaves zeros
    SortTarget target;      // where the sort writes, if sort is not 0
    i64 x_stride;           // elements
    int tokens;
    int hidden;             // a multiple of 8
    int experts;            // 1 to 512
    int top_k;              // 1 to 32
    int terms;              // 1 or 3
    int expert_warps;       // 1, 2, 4 or 8 warps side by side along the experts; the others split the inner dimension
    int scoring;            // 0 softmax over the chosen, 1 softmax over all, 2 softmax over all and renormalised
    int sort;
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

__device__ __forceinline__ float warp_sum(float v)
{
#pragma unroll
    for (int d = 16; d > 0; d /= 2)
    {
        v += __shfl_xor_sync(~0u, v, d);
    }

    return v;
}

/// One warp, kTokens tokens, 8 apart: lane l gets the logits of experts l, l + 32, … l + 32 · (kSlots − 1) as keys.
template <int kSlots, int kTokens>
__device__ __forceinline__ void sum_logits(const RouterParameters& p, int token, int parts, u32 (&keys)[kTokens][kSlots])
{
    const int lane = threadIdx.x % 32;
    float logits[kTokens][kSlots];
    const i64 part_stride = (i64)p.tokens * p.experts;
    constexpr int kBatch = kTokens > 1 ? 2 : kSlots <= 4 ? 4 : 1;
#pragma unroll
    for (int n = 0; n < kTokens; n++)
    {
#pragma unroll
        for (int j = 0; j < kSlots; j++)
        {
            logits[n][j] = p.bias != nullptr ? p.bias[min(j * 32 + lane, p.experts - 1)] : 0.0f;
        }
    }

    // Loads without branches, so that all of them are under way together.
    for (int s = 0; s < parts; s += kBatch)
    {
        float v[kBatch][kTokens][kSlots];
#pragma unroll
        for (int i = 0; i < kBatch; i++)
        {
#pragma unroll
            for (int n = 0; n < kTokens; n++)
            {
#pragma unroll
                for (int j = 0; j < kSlots; j++)
                {
                    v[i][n][j] = load_coherent(p.partial_logits + min(s + i, parts - 1) * part_stride
                                               + (i64)min(token + n * 8, p.tokens - 1) * p.experts + min(j * 32 + lane, p.experts - 1));
                }
            }
        }

#pragma unroll
        for (int i = 0; i < kBatch; i++)
        {
#pragma unroll
            for (int n = 0; n < kTokens; n++)
            {
#pragma unroll
                for (int j = 0; j < kSlots; j++)
                {
                    logits[n][j] += s + i < parts ? v[i][n][j] : 0.0f;
                }
            }
        }
    }

    // 0 stands for none: only one NaN pattern has that key.
#pragma unroll
    for (int n = 0; n < kTokens; n++)
    {
#pragma unroll
        for (int j = 0; j < kSlots; j++)
        {
            keys[n][j] = j * 32 + lane < p.experts ? max(order_key(logits[n][j]), 1u) : 0;
        }
    }
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

    float weight = e / denominator;
    if (p.scoring == 2)
    {
        weight /= warp_sum(weight);
    }

    if (lane < p.top_k && token < p.tokens)
    {
        p.ids[(i64)token * p.top_k + lane] = my_id;
        p.weights[(i64)token * p.top_k + lane] = weight;
    }

    return my_id;
}

/// One warp: its tokens of a tile, kAtOnce of them side by side, as each alone waits for one thing after the other. `few_ids` gets the choices, unless
/// it is null.
template <int kSlots, int kTiles, int kAtOnce>
__device__ __forceinline__ void choose_for_tokens(const RouterParameters& p, int first, int parts, int* few_ids)
{
    const int lane = threadIdx.x % 32;
#pragma unroll 1
    for (int base = 0; base < kTiles; base += kAtOnce)
    {
        const int token = first + base * 8;
        if (token >= p.tokens)
        {
            return;
        }

        u32 keys[kAtOnce][kSlots];
        sum_logits<kSlots, kAtOnce>(p, token, parts, keys);
#pragma unroll
        for (int n = 0; n < kAtOnce; n++)
        {
            const int id = choose_experts<kSlots>(p, token + n * 8, keys[n]);
            if (few_ids != nullptr && lane < p.top_k && token + n * 8 < p.tokens)
            {
                few_ids[(token + n * 8) * p.top_k + lane] = id;
            }
        }
    }
}

/// Whether this block is the last of `blocks` to come here; what the others wrote before can then be seen.
__device__ __forceinline__ bool is_last_block(int* ticket, int blocks)
{
    __shared__ int last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0)
    {
        last = atomicAdd(ticket, 1) == blocks - 1;
        if (last)
        {
            *ticket = 0;
        }
    }

    __syncthreads();
    __threadfence();
    return last;
}

/// kSteps: slices of 32 inner values whose weights a warp holds at once; the first are loaded before the launch before this one is done.
template <int kTiles, int kSteps>
__device__ __forceinline__ void route(const RouterParameters& p)
{
    extern __shared__ float4 shared[];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
    const int inner_warps = 8 / p.expert_warps, expert_warp = warp % p.expert_warps, inner_warp = warp / p.expert_warps;
    const int expert = (blockIdx.y * p.expert_warps + expert_warp) * 16 + g, token0 = blockIdx.x * (8 * kTiles);
    const int slices = ceil_div(p.hidden, 32), all_slices = slices * p.terms;
    const int step = gridDim.z * inner_warps;
    int slice = blockIdx.z * inner_warps + inner_warp;
    const uint4 zero = make_uint4(0, 0, 0, 0);

    uint4 rows[kSteps][2];
    auto load_weights = [&](int from) {
#pragma unroll
        for (int i = 0; i < kSteps; i++)
        {
            const int s = from + i * step, term = s / slices, k = (s - term * slices) * 32 + t * 8;
            const bool valid = s < all_slices && k < p.hidden;
            const u16* row = p.weight + ((i64)term * p.experts + expert) * p.hidden + k;
            rows[i][0] = valid && expert < p.experts ? load_readonly(row) : zero;
            rows[i][1] = valid && expert + 8 < p.experts ? load_readonly(row + 8 * (i64)p.hidden) : zero;
        }
    };
    load_weights(slice);
    wait_for_previous_launch();
    allow_next_launch();

    float sums[kTiles][4] = {};
    while (slice < all_slices)
    {
        uint4 columns[kSteps][kTiles];
#pragma unroll
        for (int i = 0; i < kSteps; i++)
        {
            const int s = slice + i * step, k = s % slices * 32 + t * 8;
            const bool valid = s < all_slices && k < p.hidden;
#pragma unroll
            for (int j = 0; j < kTiles; j++)
            {
                const int token = token0 + j * 8 + g;
                columns[i][j] = valid && token < p.tokens ? *(const uint4*)(p.x + token * p.x_stride + k) : zero;
            }
        }

#pragma unroll
        for (int i = 0; i < kSteps; i++)
        {
#pragma unroll
            for (int j = 0; j < kTiles; j++)
            {
                mma_bf16_k32(sums[j], rows[i][0], rows[i][1], columns[i][j]);
            }
        }

        slice += kSteps * step;
        load_weights(slice);
    }

    // The warps that split the inner dimension are summed in their order, which keeps the result the same each time.
#pragma unroll
    for (int j = 0; j < kTiles; j++)
    {
        shared[(warp * kTiles + j) * 32 + lane] = make_float4(sums[j][0], sums[j][1], sums[j][2], sums[j][3]);
    }

    __syncthreads();
    for (int item = warp; item < p.expert_warps * kTiles; item += 8)
    {
        const int j = item % kTiles, ew = item / kTiles;
        float4 sum = make_float4(0, 0, 0, 0);
        for (int w = 0; w < inner_warps; w++)
        {
            const float4 v = shared[((w * p.expert_warps + ew) * kTiles + j) * 32 + lane];
            sum.x += v.x;
            sum.y += v.y;
            sum.z += v.z;
            sum.w += v.w;
        }

        const int e = (blockIdx.y * p.expert_warps + ew) * 16 + g, token = token0 + j * 8 + 2 * t;
        float* logits = p.partial_logits + ((i64)blockIdx.z * p.tokens + token) * p.experts + e;
        if (token < p.tokens)
        {
            if (e < p.experts)
            {
                logits[0] = sum.x;
            }

            if (e + 8 < p.experts)
            {
                logits[8] = sum.z;
            }
        }

        if (token + 1 < p.tokens)
        {
            if (e < p.experts)
            {
                logits[p.experts] = sum.y;
            }

            if (e + 8 < p.experts)
            {
                logits[p.experts + 8] = sum.w;
            }
        }
    }

    if (!is_last_block(p.tickets + blockIdx.x, gridDim.y * gridDim.z))
    {
        return;
    }

    // Few pairs are sorted from shared memory, without another trip through L2.
    const bool few = gridDim.x == 1 && p.tokens * p.top_k <= 32;
    int* few_ids = (int*)shared;
    if (threadIdx.x < 32)
    {
        few_ids[threadIdx.x] = 0x7fffffff;
    }

    __syncthreads();
    if (p.experts <= 32)
    {
        choose_for_tokens<1, kTiles, kTiles>(p, token0 + warp, gridDim.z, few ? few_ids : nullptr);
    }
    else if (p.experts <= 128)
    {
        choose_for_tokens<4, kTiles, (kTiles > 1 ? 2 : 1)>(p, token0 + warp, gridDim.z, few ? few_ids : nullptr);
    }
    else
    {
        choose_for_tokens<16, kTiles, 1>(p, token0 + warp, gridDim.z, few ? few_ids : nullptr);
    }

    if (p.sort == 0)
    {
        return;
    }

    if (few)
    {
        __syncthreads();
        sort_few_pairs(few_ids, p.tokens * p.top_k, p.experts, p.target);
        return;
    }

    if (gridDim.x > 1 ? is_last_block(p.tickets + gridDim.x, gridDim.x) : true)
    {
        __syncthreads();
        sort_pairs<256>(p.ids, p.tokens * p.top_k, p.experts, p.target, (int*)shared);
    }
}

extern "C" __global__ void __launch_bounds__(256, 2) moe_router_8(const __grid_constant__ RouterParameters p)
{
    route<1, 4>(p);
}

extern "C" __global__ void __launch_bounds__(256, 2) moe_router_32(const __grid_constant__ RouterParameters p)
{
    route<4, 2>(p);
}
