// The router on any device and for any number of experts: logits = x · Wᵀ + b in float32, then the choice of the experts and their weights: TChoice;
// for few tokens the last block also sorts the (token, k) pairs by expert. Blocks of 256 threads; block (i, j, s) computes logits of
// 8 · kTiles tokens and 16 · expert_warps experts over the s-th part of the inner dimension.
//
// Of many tokens, the last block of a token tile to finish does the rest. Of few, latency is all there is: the grid has one row of blocks more, whose last
// block of a tile waits for the logits themselves, which stand in words that are empty (kNoLogit) until they come, and are emptied by who has read them. All
// other blocks of the tile have begun before it. It chooses and sorts once in vain while they make the logits, so that its code has been read from memory when
// they come: to read code takes longer than to run it, and so the code of few tokens is short rather than quick.
//
// Dynamic shared memory: the larger of 4096 · kTiles bytes and ((n + 1) · experts + tokens · top_k) · 4 bytes if it sorts, n = ceil(tokens · top_k / 32).
#pragma once
#include "routing/router.cuh"

struct SplitRouterParameters
{
    RouterParameters router;
    float* partial_logits;  // [gridDim.z, tokens, experts], and room for 1024 behind them; with few tokens every bit is 1 before the first launch, and
                            // each launch leaves that
    int* tickets;           // [gridDim.x + 1], zero before the first launch; each launch leaves zeros
    int expert_warps;       // 1, 2, 4 or 8 warps side by side along the experts; the others split the inner dimension
    int reserved;
};

/// What stands where no logit has come yet: a NaN that no sum is.
constexpr u32 kNoLogit = 0xffffffffu;

/// One warp, one token: the same as below of words that others fill meanwhile. In vain: of what has come by now.
template <int kSlots>
__device__ __forceinline__ void await_logits(const RouterParameters& p, const float* partial_logits, int token, int parts, float (&logits)[1][kSlots], bool in_vain)
{
    constexpr int kParts = kSlots <= 8 ? 4 : kSlots <= 16 ? 2 : 1;  // whose words are read together
    const int lane = threadIdx.x % 32, own = p.experts - lane;
    const i64 part_stride = (i64)p.tokens * p.experts;
    const u32* words = (const u32*)partial_logits + (i64)token * p.experts + lane;
#pragma unroll
    for (int j = 0; j < kSlots; j++)
    {
        logits[0][j] = p.bias != nullptr ? p.bias[j * 32 + lane] : 0.0f;
    }

#pragma unroll 1
    for (int left = parts; left > 0; left -= kParts)
    {
        u32 v[kParts][kSlots];
        bool lacks;
        do
        {
            lacks = false;
#pragma unroll
            for (int s = 0; s < kParts; s++)
            {
#pragma unroll
                for (int j = 0; j < kSlots; j++)
                {
                    v[s][j] = load_relaxed_if(s < left && j * 32 < own, words + s * part_stride + j * 32);
                }
            }

#pragma unroll
            for (int s = 0; s < kParts; s++)
            {
#pragma unroll
                for (int j = 0; j < kSlots; j++)
                {
                    lacks |= v[s][j] == kNoLogit;
                }
            }
        } while (lacks && !in_vain);

#pragma unroll
        for (int s = 0; s < kParts; s++)
        {
#pragma unroll
            for (int j = 0; j < kSlots; j++)
            {
                logits[0][j] += __uint_as_float(v[s][j]);
            }
        }

        words += kParts * part_stride;
    }
}

/// One warp: empties a token's words, which it has read.
__device__ __forceinline__ void empty_logits(const RouterParameters& p, float* partial_logits, int token, int parts)
{
#pragma unroll 1
    for (int s = 0; s < parts; s++)
    {
#pragma unroll 1
        for (int expert = threadIdx.x % 32; expert < p.experts; expert += 32)
        {
            ((u32*)partial_logits)[((i64)s * p.tokens + token) * p.experts + expert] = kNoLogit;
        }
    }
}

/// One warp, kTokens tokens, 8 apart: lane l gets the logits of experts l, l + 32, … l + 32 · (kSlots − 1).
template <int kSlots, int kTokens>
__device__ __forceinline__ void sum_logits(const RouterParameters& p, const float* partial_logits, int token, int parts, float (&logits)[kTokens][kSlots])
{
    const int lane = threadIdx.x % 32;
    const i64 part_stride = (i64)p.tokens * p.experts;
    constexpr int kBatch = kTokens > 1 ? 2 : kSlots <= 8 ? 4 : kSlots <= 16 ? 2 : 1;
#pragma unroll
    for (int n = 0; n < kTokens; n++)
    {
#pragma unroll
        for (int j = 0; j < kSlots; j++)
        {
            logits[n][j] = p.bias != nullptr ? p.bias[j * 32 + lane] : 0.0f;
        }
    }

    // Loads without branches, so that all of them are under way together. What is read for experts that there are not is another row's.
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
                    v[i][n][j] = load_coherent(partial_logits + min(s + i, parts - 1) * part_stride
                                               + (i64)min(token + n * 8, p.tokens - 1) * p.experts + j * 32 + lane);
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
}

/// One warp: its tokens of a tile, kAtOnce of them side by side, since one token waits for one thing after the other. `chosen` gets the choices, unless
/// it is null. In vain: nobody gets the choice.
template <int kSlots, int kTiles, int kAtOnce, typename TChoice>
__device__ __forceinline__ void choose_for_tokens(const RouterParameters& p, const TChoice& choice, float* partial_logits, int first, int parts, int* chosen,
                                                  bool in_vain)
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

        u32 keys[kSlots];
        float logits[kAtOnce][kSlots];
        if constexpr (kTiles == 1)
        {
            choice.fetch(keys);
            await_logits<kSlots>(p, partial_logits, token, parts, logits, in_vain);
        }
        else
        {
            sum_logits<kSlots, kAtOnce>(p, partial_logits, token, parts, logits);
        }

#pragma unroll
        for (int n = 0; n < kAtOnce; n++)
        {
            if constexpr (kTiles > 1)
            {
                choice.fetch(keys);
            }

            const int id = choice.choose(p, in_vain ? p.tokens : token + n * 8, logits[n], keys);
            if (chosen != nullptr && !in_vain && lane < p.top_k && token + n * 8 < p.tokens)
            {
                chosen[(token + n * 8) * p.top_k + lane] = id;
            }
        }
    }
}

/// Whether this block is the last of `blocks` to come here; what the others wrote before can then be seen.
__device__ __forceinline__ bool is_last_block(int* ticket, int blocks)
{
    __shared__ int last;
    __syncthreads();
    if (threadIdx.x == 0)
    {
        last = add_release(ticket, 1) == blocks - 1;
        if (last)
        {
            *ticket = 0;
        }
    }

    __syncthreads();
    return last;
}

/// kSteps: slices of 32 inner values whose weights a warp holds at once; the first are loaded before the launch before this one is done.
template <int kTiles, int kSteps, typename TChoice>
__device__ __forceinline__ void route(const SplitRouterParameters& q, const TChoice& choice)
{
    const RouterParameters& p = q.router;
    extern __shared__ float4 shared[];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
    const int expert_warps = kTiles == 1 ? 1 : q.expert_warps, inner_warps = 8 / expert_warps, expert_warp = warp % expert_warps, inner_warp = warp / expert_warps;
    const int expert = (blockIdx.y * expert_warps + expert_warp) * 16 + g, token0 = blockIdx.x * (8 * kTiles);
    const int slices = ceil_div(p.hidden, 32), all_slices = slices * p.terms;
    const int step = gridDim.z * inner_warps;
    int slice = blockIdx.z * inner_warps + inner_warp;
    const uint4 zero = make_uint4(0, 0, 0, 0);

    uint4 rows[kSteps][2];

    // Of one term or three. A division would be more code to read than all that is done here.
    auto term_of = [&](int s) { return s >= 2 * slices ? 2 : s >= slices ? 1 : 0; };
    auto load_weights = [&](int from) {
#pragma unroll
        for (int i = 0; i < kSteps; i++)
        {
            const int s = from + i * step, term = term_of(s), k = (s - term * slices) * 32 + t * 8;
            const bool valid = s < all_slices && k < p.hidden;
            const u16* row = p.weight + ((i64)term * p.experts + expert) * p.hidden + k;
            rows[i][0] = valid && expert < p.experts ? load_readonly(row) : zero;
            rows[i][1] = valid && expert + 8 < p.experts ? load_readonly(row + 8 * (i64)p.hidden) : zero;
        }
    };
    // The block that empties the early offsets is the one that sorts, or one that it has waited for.
    const bool empties = p.sort && blockIdx.x == 0 && blockIdx.y == gridDim.y - 1 && blockIdx.z == gridDim.z - 1;
    if (!empties && !p.target.lets_next_begin_late())
    {
        allow_next_launch();
    }

    auto let_next_begin = [&](bool may_empty) {
        if (p.target.lets_next_begin_late())
        {
            wait_for_previous_launch();
            if (!empties)
            {
                allow_next_launch();
            }
        }

        if (may_empty && empties && warp == 7)
        {
            p.target.empty_early_offsets();
            allow_next_launch();
        }
    };
    auto make_logits = [&] {
        float sums[kTiles][4] = {};
        bool is_first = true;
        do
        {
            load_weights(slice);
            if (is_first)
            {
                let_next_begin(kTiles > 1);
                wait_for_previous_launch();
                is_first = false;
            }

            uint4 columns[kSteps][kTiles];
#pragma unroll
            for (int i = 0; i < kSteps; i++)
            {
                const int s = slice + i * step, k = (s - term_of(s) * slices) * 32 + t * 8;
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
        } while (slice < all_slices);

        // The warps that split the inner dimension are summed in their order, which keeps the result the same each time.
#pragma unroll
        for (int j = 0; j < kTiles; j++)
        {
            shared[(warp * kTiles + j) * 32 + lane] = make_float4(sums[j][0], sums[j][1], sums[j][2], sums[j][3]);
        }

        __syncthreads();
        for (int item = warp; item < expert_warps * kTiles; item += 8)
        {
            const int j = item % kTiles, ew = item / kTiles;
            float4 sum = make_float4(0, 0, 0, 0);
            for (int w = 0; w < inner_warps; w++)
            {
                const float4 v = shared[((w * expert_warps + ew) * kTiles + j) * 32 + lane];
                sum.x += v.x;
                sum.y += v.y;
                sum.z += v.z;
                sum.w += v.w;
            }

            const int e = (blockIdx.y * expert_warps + ew) * 16 + g, token = token0 + j * 8 + 2 * t;
            float* logits = q.partial_logits + ((i64)blockIdx.z * p.tokens + token) * p.experts + e;
            auto leave = [&](float* to, float v) {
                if constexpr (kTiles == 1)
                {
                    store_relaxed((u32*)to, __float_as_uint(v) == kNoLogit ? kNoLogit >> 1 : __float_as_uint(v));
                }
                else
                {
                    *to = v;
                }
            };
            if (token < p.tokens)
            {
                if (e < p.experts)
                {
                    leave(logits, sum.x);
                }

                if (e + 8 < p.experts)
                {
                    leave(logits + 8, sum.z);
                }
            }

            if (token + 1 < p.tokens)
            {
                if (e < p.experts)
                {
                    leave(logits + p.experts, sum.y);
                }

                if (e + 8 < p.experts)
                {
                    leave(logits + p.experts + 8, sum.w);
                }
            }
        }
    };

    if constexpr (kTiles == 1)
    {
        if (blockIdx.y != gridDim.y - 1)
        {
            make_logits();
            return;
        }

        if (warp == 7)
        {
            let_next_begin(true);
        }

        if (blockIdx.z != gridDim.z - 1)
        {
            return;
        }
    }
    else
    {
        make_logits();
        if (!is_last_block(q.tickets + blockIdx.x, gridDim.y * gridDim.z))
        {
            return;
        }
    }

    // Where this block is the only one to choose, what it sorts makes no trip through L2.
    const int pairs = p.tokens * p.top_k;
    int* const ids = (int*)shared;
    int* const chosen = p.sort != 0 && gridDim.x == 1 ? ids : nullptr;
    constexpr int kAtOnce = kTiles > 1 ? TChoice::kAtOnce : 1;
    const int token = token0 + warp, parts = gridDim.z;
    const bool sorts_few = kTiles == 1 && chosen != nullptr && sorts_as_few(pairs, p.target);
#pragma unroll 1
    for (int pass = kTiles == 1 && (warp == 0 || (sorts_few && warp == 1)) ? 0 : 1; pass < 2; pass++)
    {
        const bool in_vain = pass == 0;
        if (!in_vain)
        {
            wait_for_previous_launch();
        }

        if (!in_vain || warp == 0)
        {
            if (p.experts <= 32)
            {
                choose_for_tokens<1, kTiles, kAtOnce>(p, choice, q.partial_logits, token, parts, chosen, in_vain);
            }
            else if (p.experts <= 128)
            {
                choose_for_tokens<4, kTiles, (kAtOnce > 1 ? kAtOnce / 2 : 1)>(p, choice, q.partial_logits, token, parts, chosen, in_vain);
            }
            else if (p.experts <= 256)
            {
                choose_for_tokens<8, kTiles, 1>(p, choice, q.partial_logits, token, parts, chosen, in_vain);
            }
            else if (p.experts <= 512)
            {
                choose_for_tokens<16, kTiles, 1>(p, choice, q.partial_logits, token, parts, chosen, in_vain);
            }
            else
            {
                choose_for_tokens<32, kTiles, 1>(p, choice, q.partial_logits, token, parts, chosen, in_vain);
            }
        }

        // In vain: of whatever lies behind the ids.
        if (sorts_few)
        {
            if (!in_vain)
            {
                __syncthreads();
            }

            if (!in_vain || warp == 1)
            {
                sort_few_pairs<256>(in_vain ? ids + kFewPairs : ids, pairs, p.target, in_vain);
            }
        }
    }

    if constexpr (kTiles == 1)
    {
        if (token < p.tokens)
        {
            empty_logits(p, q.partial_logits, token, parts);
        }
    }

    if (p.sort == 0 || sorts_few)
    {
        return;
    }

    if (chosen == nullptr)
    {
        if (!is_last_block(q.tickets + gridDim.x, gridDim.x))
        {
            return;
        }

        for (int i = threadIdx.x; i < pairs; i += 256)
        {
            ids[i] = load_coherent(p.ids + i);
        }
    }

    __syncthreads();
    sort_pairs<256>(ids, pairs, p.target, ids + pairs);
}
