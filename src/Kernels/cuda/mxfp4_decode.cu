// Both products of an MXFP4 mixture-of-experts layer for few tokens an expert, in one launch, where reading the weights once is all the
// time there is.
//
// The work of each product is units: groups of 16 weight rows, in order of row block, divided into as many even shares as there are thread
// blocks. A block takes shares by ticket, those of the first product first; so weights stream without a stop from one product into the
// next, and a block that waits for the first product's results waits only for shares that others are already working on, however many
// blocks the device runs at once. Warps have fixed roles: one thread streams weights through a ring of shared memory, as far ahead as it
// holds; one warp brings the row block's tokens, which stay for all its groups; two sets of eight warps multiply, every second unit each, a
// warp an eighth of the inner dimension; four warps sum their parts in a fixed order and do what comes after, every fourth unit each. So many,
// because a unit's weights take about a microsecond to come, which is the time of some four hundred instructions of one warp.
//
// Compiled with -DMOE_TOKENS: 8 or 16, the most tokens of a row block, which names the entry point. sm_90 and newer. With -DMOE_MXFP8=1 the
// first product's results are rounded to MXFP8 (mxfp8_round.cuh): a block of it is four groups, one of each summing warp.
#include "mbarrier.cuh"
#include "mxfp4.cuh"
#include "mxfp8_round.cuh"
#include "tma.cuh"

#ifndef MOE_MXFP8
#define MOE_MXFP8 0
#endif

#define MOE_JOIN(a, n) a##_n##n
#define MOE_EXPAND(a, n) MOE_JOIN(a, n)

namespace
{
constexpr int kTokens = MOE_TOKENS, kColumns = kTokens / 8, kParts = 8, kSets = 2, kWarps = kParts * kSets, kSums = 4;
constexpr int kTokenWarp = kWarps + kSums, kThreads = (kTokenWarp + 2) * 32;  // the last warp streams weights
constexpr int kMaxSlots = 16, kShares = 4;
constexpr bool kMxfp8 = MOE_MXFP8;
// Shared memory: barriers and share numbers, then sums, then tokens, then the ring.
constexpr int kFull = 0, kEmpty = kFull + kMaxSlots * 8, kSumFull = kEmpty + kMaxSlots * 8, kSumEmpty = kSumFull + kSums * 8;
constexpr int kTokensFull = kSumEmpty + kSums * 8, kTokensEmpty = kTokensFull + 8, kShareFull = kTokensEmpty + 8;
constexpr int kShareEmpty = kShareFull + kShares * 8, kShareBase = kShareEmpty + kShares * 8;
constexpr int kSumBase = (kShareBase + kShares * 4 + 127) / 128 * 128, kSumBytes = kParts * kColumns * 512;
constexpr int kTokenBase = kSumBase + kSums * kSumBytes;
static_assert(kSumBase == 512, "what the host counts with");
static_assert(kTokens % 8 == 0 && kTokens <= 32, "whole matrix instructions, and a lane for each token");
}

struct Mxfp4DecodeParameters
{
    TensorMap weight[2];         // of each product: 32-bit words {136, steps, groups, experts} (mxfp4.cuh), box {136, steps of a piece, 1, 1}
    const float* factor[2];      // [experts, rows]: the rows' own factors, or null where all are 1
    const float* bias;           // first product: [experts, rows], or null
    const u16* x;                // BF16 [tokens, x_stride], rows 16-byte aligned
    u16* act;                    // BF16 [sorted pairs, intermediate]
    float* out;                  // [splits, pairs, hidden], a pair is token · top_k + k; without bias and router weight
    const int* sorted_pairs;
    const int4* row_blocks;      // made with block_rows = kTokens or less
    const int* row_block_count;
    int* counters;               // 3, zeros before the first launch; each launch leaves zeros
    i64 x_stride;                // elements
    i64 split_stride;            // elements between splits
    int hidden;                  // a multiple of 32, as is the next
    int intermediate;
    int top_k;
    int splits;                  // parts of the second product's inner dimension
    int pieces[2];               // steps that a copy brings: a multiple of 8
    int slots;                   // of the ring, at most 16
    int slot_bytes;              // a multiple of 128
    int token_bytes;             // from one token to the next in shared memory: 128-byte multiples of the larger inner dimension, and 16
    float alpha, limit, up_bias; // act = (min(max(up, −limit), limit) + up_bias) · gate · sigmoid(alpha · gate), gate = min(gate, limit)
};

namespace
{
/// One product's work: its groups in order of row block, each divided into splits of the inner dimension.
struct Work
{
    int product, depth, groups, steps, splits, part, piece, units;

    __device__ __forceinline__ Work(const Mxfp4DecodeParameters& p, int number, int row_blocks)
    {
        product = number;
        depth = number == 0 ? p.hidden : p.intermediate;
        groups = (number == 0 ? 2 * p.intermediate : p.hidden) / kGroupRows;
        steps = ceil_div(depth, kGroupDepth);
        splits = number == 0 ? 1 : p.splits;
        part = ceil_div(steps, splits);
        piece = number == 0 ? p.pieces[0] : p.pieces[1];
        units = row_blocks * groups * splits;
    }
};

/// A place in a share.
struct Unit
{
    int left, row_block, group, split;

    __device__ __forceinline__ Unit(const Work& work, int share, int shares)
    {
        // Rounded results leave in blocks of four groups, which are in one share then.
        const int step = kMxfp8 && work.product == 0 ? kSums : 1;
        const int index = (int)((i64)(work.units / step) * share / shares) * step, a_block = work.groups * work.splits, rest = index % a_block;
        left = (int)((i64)(work.units / step) * (share + 1) / shares) * step - index;
        row_block = index / a_block;
        group = rest / work.splits;
        split = rest % work.splits;
    }

    __device__ __forceinline__ int first_step(const Work& work) const
    {
        return split * work.part;
    }

    __device__ __forceinline__ int end_step(const Work& work) const
    {
        return min(work.steps, (split + 1) * work.part);
    }

    /// One on; true if that is another row block's, or there is none.
    __device__ __forceinline__ bool advance(const Work& work)
    {
        left--;
        if (++split == work.splits)
        {
            split = 0;
            if (++group == work.groups)
            {
                group = 0;
                row_block++;
                return true;
            }
        }

        return left == 0;
    }
};

/// A position in a ring of barriers.
struct Ring
{
    int at;
    u32 parity;

    __device__ __forceinline__ void advance(int size)
    {
        if (++at == size)
        {
            at = 0;
            parity ^= 1;
        }
    }
};

/// The next share's number, as the weights' thread has published it.
__device__ __forceinline__ int next_share(u32 base, Ring& ring)
{
    mbarrier_wait(base + kShareFull + ring.at * 8, ring.parity);
    const int share = (int)load_shared_word(base + kShareBase + ring.at * 4);
    __syncwarp();
    if (threadIdx.x % 32 == 0)
    {
        mbarrier_arrive(base + kShareEmpty + ring.at * 8);
    }

    ring.advance(kShares);
    return share;
}

/// One thread: takes tickets and streams the weights.
__device__ __forceinline__ void stream_weights(const Mxfp4DecodeParameters& p, char* shared, u32 base, u32 slots)
{
    const int shares = gridDim.x;
    int ticket = atomicAdd(p.counters, 1);
    wait_for_previous_launch();
    allow_next_launch();
    const int row_blocks = load_coherent(p.row_block_count);
    Ring ring = {0, 0}, share_ring = {0, 0};
    while (true)
    {
        mbarrier_wait(base + kShareEmpty + share_ring.at * 8, share_ring.parity ^ 1);
        ((volatile int*)(shared + kShareBase))[share_ring.at] = ticket;
        mbarrier_arrive(base + kShareFull + share_ring.at * 8);
        share_ring.advance(kShares);
        if (ticket >= 2 * shares)
        {
            if (ticket == 3 * shares - 1)
            {
                p.counters[0] = 0;  // every block has its last ticket
            }

            return;
        }

        const int next = atomicAdd(p.counters, 1);
        const Work work(p, ticket >= shares, row_blocks);
        Unit unit(work, ticket - work.product * shares, shares);
        const u32 bytes = work.piece * kGroupBytes;
        int expert = 0;
        bool is_new = true;
        while (unit.left > 0)
        {
            if (is_new)
            {
                expert = load_coherent(p.row_blocks + unit.row_block).x;
            }

            // What the last piece has too many steps is zeros, or the next split's.
            for (int step = unit.first_step(work), end = unit.end_step(work); step < end; step += work.piece)
            {
                const u32 full = base + kFull + ring.at * 8;
                mbarrier_wait(full + (kEmpty - kFull), ring.parity ^ 1);
                mbarrier_arrive_expect(full, bytes);
                tma_load_4d(slots + ring.at * p.slot_bytes, &p.weight[work.product], full, 0, step, unit.group, expert);
                ring.advance(p.slots);
            }

            is_new = unit.advance(work);
        }

        ticket = next;
    }
}

/// One warp: brings each row block's tokens.
__device__ __forceinline__ void bring_tokens(const Mxfp4DecodeParameters& p, char* shared, u32 base)
{
    wait_for_previous_launch();
    const int lane = threadIdx.x % 32, shares = gridDim.x, row_blocks = load_coherent(p.row_block_count);
    Ring share_ring = {0, 0};
    u32 parity = 1;
    bool waited = false;
    fence_async_proxy_global();
    for (int ticket = next_share(base, share_ring); ticket < 2 * shares; ticket = next_share(base, share_ring))
    {
        const Work work(p, ticket >= shares, row_blocks);
        const Unit unit(work, ticket - work.product * shares, shares);
        if (unit.left == 0)
        {
            continue;
        }

        if (work.product == 1 && !waited)
        {
            while (load_acquire(p.counters + 1) < kSums * shares)
            {
            }

            fence_async_proxy_global();
            waited = true;
        }

        const int last = ((unit.row_block * work.groups + unit.group) * work.splits + unit.split + unit.left - 1) / (work.groups * work.splits);
        for (int row_block = unit.row_block; row_block <= last; row_block++)
        {
            const int4 block = load_coherent(p.row_blocks + row_block);
            const int place = block.y + min(lane, block.z - 1);
            const u16* row = work.product == 0 ? p.x + load_coherent(p.sorted_pairs + place) / p.top_k * p.x_stride
                                               : p.act + (i64)place * work.depth;
            mbarrier_wait(base + kTokensEmpty, parity);
            parity ^= 1;
            char* to = shared + kTokenBase + lane * p.token_bytes;
            if (lane < kTokens && work.depth % kGroupDepth != 0)
            {
                // The last step's missing inputs meet zero codes, but must not be NaN.
                for (int i = 0; i < 4; i++)
                {
                    ((uint4*)(to + work.depth * 2))[i] = make_uint4(0, 0, 0, 0);
                }
            }

            __syncwarp();
            if (lane == 0)
            {
                mbarrier_arrive_expect(base + kTokensFull, block.z * work.depth * 2);
            }

            __syncwarp();
            if (lane < block.z)
            {
                bulk_load(shared_address(to), row, work.depth * 2, base + kTokensFull);
            }
        }
    }
}

/// A warp's chunk: 16 rows by its steps, against all tokens.
__device__ __forceinline__ void multiply_chunk(float (&sums)[kColumns][2][4], u32 weights, u32 tokens, int token_bytes, int steps)
{
    const int lane = threadIdx.x % 32;
    weights += lane * 16;
#pragma unroll 2
    for (int step = 0; step < steps; step++)
    {
        const uint4 codes = load_shared(weights);
        const u32 scales = load_shared_word(weights + kGroupCodeBytes - lane * 16 + lane / 4 * 4);
        const u32 words[4] = {codes.x, codes.y, codes.z, codes.w};
#pragma unroll
        for (int half = 0; half < 2; half++)
        {
            const u32 low = scale_factor(scales, half), high = scale_factor(scales, half + 2);
            u32 a[2][4];
            widen_codes(a[0], words[2 * half], low, high);
            widen_codes(a[1], words[2 * half + 1], low, high);
#pragma unroll
            for (int c = 0; c < kColumns; c++)
            {
                u32 b[4];
                load_matrix_x4(b, tokens + c * 8 * token_bytes + half * 64);
                mma_bf16(sums[c][0], a[0][0], a[0][1], a[0][2], a[0][3], b[0], b[1]);
                mma_bf16(sums[c][1], a[1][0], a[1][1], a[1][2], a[1][3], b[2], b[3]);
            }
        }

        weights += kGroupBytes;
        tokens += kGroupDepth * 2;
    }
}

/// Two sets of eight warps.
__device__ __forceinline__ void multiply(const Mxfp4DecodeParameters& p, char* shared, u32 base, u32 slots)
{
    wait_for_previous_launch();
    const int lane = threadIdx.x % 32, part = threadIdx.x / 32 % kParts, set = threadIdx.x / 32 / kParts, shares = gridDim.x;
    const int row_blocks = load_coherent(p.row_block_count);
    const u32 tokens = base + kTokenBase + lane % 8 * p.token_bytes + lane / 8 * 16;
    Ring share_ring = {0, 0}, ring = {0, 0}, sum_ring = {0, 0};
    u32 parity = 0;
    for (int ticket = next_share(base, share_ring); ticket < 2 * shares; ticket = next_share(base, share_ring))
    {
        const Work work(p, ticket >= shares, row_blocks);
        const int chunk = work.piece / kParts;
        Unit unit(work, ticket - work.product * shares, shares);
        bool is_new = true;
        while (unit.left > 0)
        {
            if (is_new)
            {
                mbarrier_wait(base + kTokensFull, parity);
                parity ^= 1;
            }

            const bool is_mine = sum_ring.at % kSets == set;
            float sums[kColumns][2][4] = {};
            for (int step = unit.first_step(work), end = unit.end_step(work); step < end; step += work.piece)
            {
                if (is_mine)
                {
                    const int first = step + part * chunk;
                    mbarrier_wait(base + kFull + ring.at * 8, ring.parity);
                    multiply_chunk(sums, slots + ring.at * p.slot_bytes + part * chunk * kGroupBytes, tokens + first * kGroupDepth * 2,
                                   p.token_bytes, min(chunk, end - first));
                    __syncwarp();
                    if (lane == 0)
                    {
                        mbarrier_arrive(base + kEmpty + ring.at * 8);
                    }
                }

                ring.advance(p.slots);
            }

            is_new = unit.advance(work);
            if (is_mine)
            {
                mbarrier_wait(base + kSumEmpty + sum_ring.at * 8, sum_ring.parity ^ 1);
                float4* to = (float4*)(shared + kSumBase + sum_ring.at * kSumBytes) + part * kColumns * 32 + lane;
#pragma unroll
                for (int c = 0; c < kColumns; c++)
                {
                    to[c * 32] = make_float4(sums[c][0][0] + sums[c][1][0], sums[c][0][1] + sums[c][1][1], sums[c][0][2] + sums[c][1][2],
                                             sums[c][0][3] + sums[c][1][3]);
                }

                __syncwarp();
                if (lane == 0)
                {
                    mbarrier_arrive(base + kSumFull + sum_ring.at * 8);
                }
            }

            if (is_new && lane == 0)
            {
                mbarrier_arrive(base + kTokensEmpty);
            }

            sum_ring.advance(kSums);
        }
    }
}

/// Act of a unit, rounded together with those of the three other summing warps: sums are those of gates and ups.
template <typename TActivation>
__device__ __forceinline__ void store_rounded(const float4 (&sums)[kColumns], const TActivation& activation, u16* const (&act)[kColumns][2],
                                              int row, int own, int turn, int tokens)
{
    // Two by turns: a warp that publishes anew has passed the barrier that all passed after they had read what was there two times before.
    constexpr int kBarrier = 1;
    __shared__ uint4 shared[2][mxfp8_pairs(kTokens)];
    uint4* largest = shared[turn % 2];
    float values[kColumns][2];
    u32 magnitudes[4] = {};
#pragma unroll
    for (int c = 0; c < kColumns; c++)
    {
        values[c][0] = activation(sums[c].x, sums[c].z);
        values[c][1] = activation(sums[c].y, sums[c].w);
        magnitudes[c] = magnitudes_bf16x2(values[c][0], values[c][1]);
    }

    publish_magnitudes(largest, 0, own, magnitudes);
    named_barrier(kBarrier, kSums * 32);
    const int t = threadIdx.x % 4;
#pragma unroll
    for (int c = 0; c < kColumns; c++)
    {
        const u32 rounded = round_mxfp8x2(values[c][0], values[c][1], largest[c * 4 + t]);
        if (c * 8 + 2 * t < tokens)
        {
            act[c][0][row / 2] = (u16)rounded;
        }

        if (c * 8 + 2 * t + 1 < tokens)
        {
            act[c][1][row / 2] = (u16)(rounded >> 16);
        }
    }
}

/// Four warps: each sums the parts of every fourth unit, then bias and SwiGLU, or the partial results of the second product.
__device__ __forceinline__ void finish(const Mxfp4DecodeParameters& p, char* shared, u32 base, int own)
{
    wait_for_previous_launch();
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, shares = gridDim.x, row_blocks = load_coherent(p.row_block_count);
    const float4* parts = (const float4*)(shared + kSumBase + own * kSumBytes) + lane;
    Ring share_ring = {0, 0};
    int turn = 0, rounded = 0;
    u32 parity = 0;
    for (int ticket = next_share(base, share_ring); ticket < 2 * shares; ticket = next_share(base, share_ring))
    {
        const Work work(p, ticket >= shares, row_blocks);
        const bool is_first = work.product == 0;
        const float* factors = is_first ? p.factor[0] : p.factor[1];
        // Matrix rows g and g + 8 are gate and up of one output, or two outputs.
        const int lane_row = is_first ? 2 * g : g, next = is_first ? 1 : 8;
        Unit unit(work, ticket - work.product * shares, shares);
        int4 block = make_int4(0, 0, 0, 0);
        i64 weight_row = 0;
        float* out[kColumns][2];
        u16* act[kColumns][2];
        bool is_new = true;
        for (; unit.left > 0; turn = (turn + 1) % kSums)
        {
            if (is_new)
            {
                block = load_coherent(p.row_blocks + unit.row_block);
                weight_row = (i64)block.x * (work.groups * kGroupRows) + lane_row;
#pragma unroll
                for (int i = 0; i < kColumns * 2; i++)
                {
                    const int place = block.y + min(i / 2 * 8 + 2 * t + i % 2, block.z - 1);
                    act[i / 2][i % 2] = p.act + (i64)place * p.intermediate + g;
                    out[i / 2][i % 2] = p.out + (is_first ? 0 : (i64)load_coherent(p.sorted_pairs + place) * p.hidden) + g;
                }
            }

            const int row = unit.group * kGroupRows, split = unit.split;
            is_new = unit.advance(work);
            if (turn != own)
            {
                continue;
            }

            float2 factor = make_float2(1, 1), bias = make_float2(0, 0);
            if (factors != nullptr)
            {
                factor = make_float2(factors[weight_row + row], factors[weight_row + row + next]);
            }

            if (is_first && p.bias != nullptr)
            {
                bias = *(const float2*)(p.bias + weight_row + row);
            }

            mbarrier_wait(base + kSumFull + own * 8, parity);
            parity ^= 1;
            float4 sums[kColumns];
#pragma unroll
            for (int c = 0; c < kColumns; c++)
            {
                float4 v[kParts];
#pragma unroll
                for (int w = 0; w < kParts; w++)
                {
                    v[w] = parts[(w * kColumns + c) * 32];
                }

                sums[c] = v[0];
#pragma unroll
                for (int w = 1; w < kParts; w++)
                {
                    sums[c].x += v[w].x;
                    sums[c].y += v[w].y;
                    sums[c].z += v[w].z;
                    sums[c].w += v[w].w;
                }
            }

            __syncwarp();
            if (lane == 0)
            {
                mbarrier_arrive(base + kSumEmpty + own * 8);
            }

            if (kMxfp8 && is_first)
            {
                auto activation = [&](float first, float second) {
                    const float gate = fminf(first * factor.x + bias.x, p.limit);
                    const float up = fminf(fmaxf(second * factor.y + bias.y, -p.limit), p.limit);
                    return (up + p.up_bias) * gate * __fdividef(1.0f, 1.0f + __expf(-p.alpha * gate));
                };
                store_rounded(sums, activation, act, row, own, rounded++, block.z);
                continue;
            }

#pragma unroll
            for (int c = 0; c < kColumns; c++)
            {
#pragma unroll
                for (int i = 0; i < 2; i++)
                {
                    const float first = (i == 0 ? sums[c].x : sums[c].y) * factor.x, second = (i == 0 ? sums[c].z : sums[c].w) * factor.y;
                    if (c * 8 + 2 * t + i >= block.z)
                    {
                        continue;
                    }

                    if (is_first)
                    {
                        const float gate = fminf(first + bias.x, p.limit), up = fminf(fmaxf(second + bias.y, -p.limit), p.limit);
                        const float value = (up + p.up_bias) * gate * __fdividef(1.0f, 1.0f + __expf(-p.alpha * gate));
                        act[c][i][row / 2] = float_to_bf16(value);
                    }
                    else
                    {
                        float* to = out[c][i] + split * p.split_stride + row;
                        to[0] = first;
                        to[8] = second;
                    }
                }
            }
        }

        if (is_first)
        {
            __threadfence();
            fence_async_proxy_global();
            __syncwarp();
            if (lane == 0)
            {
                add_release(p.counters + 1, 1);
            }
        }
        else if (lane == 0 && add_release(p.counters + 2, 1) == kSums * shares - 1)
        {
            // Every share is done, so nobody waits for the first product any more.
            p.counters[1] = 0;
            p.counters[2] = 0;
        }
    }
}
}

/// Grid: one block a multiprocessor; kThreads threads; kTokenBase + kTokens · token_bytes + slots · slot_bytes bytes of dynamic shared memory.
extern "C" __global__ void __launch_bounds__(kThreads, 1) MOE_EXPAND(moe_mxfp4_decode, MOE_TOKENS)(const __grid_constant__ Mxfp4DecodeParameters p)
{
    extern __shared__ __align__(128) char shared[];
    const u32 base = shared_address(shared), slots = base + (kTokenBase + kTokens * p.token_bytes + 127) / 128 * 128;
    if (threadIdx.x == kThreads - 32)
    {
        tma_prefetch_map(&p.weight[0]);
        tma_prefetch_map(&p.weight[1]);
    }

    if (threadIdx.x < kMaxSlots)
    {
        mbarrier_init(base + kFull + threadIdx.x * 8, 1);
        mbarrier_init(base + kEmpty + threadIdx.x * 8, kParts);
        if (threadIdx.x < kSums)
        {
            mbarrier_init(base + kSumFull + threadIdx.x * 8, kParts);
            mbarrier_init(base + kSumEmpty + threadIdx.x * 8, 1);
        }

        if (threadIdx.x < kShares)
        {
            mbarrier_init(base + kShareFull + threadIdx.x * 8, 1);
            mbarrier_init(base + kShareEmpty + threadIdx.x * 8, kWarps + kSums + 1);
        }

        if (threadIdx.x == 0)
        {
            mbarrier_init(base + kTokensFull, 1);
            mbarrier_init(base + kTokensEmpty, kWarps);
        }

        mbarrier_fence_init();
    }

    __syncthreads();
    const int warp = threadIdx.x / 32;
    if (warp < kWarps)
    {
        multiply(p, shared, base, slots);
    }
    else if (warp < kTokenWarp)
    {
        finish(p, shared, base, warp - kWarps);
    }
    else if (warp == kTokenWarp)
    {
        bring_tokens(p, shared, base);
    }
    else if (threadIdx.x % 32 == 0)
    {
        stream_weights(p, shared, base, slots);
    }
}
