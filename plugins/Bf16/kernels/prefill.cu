// Both products of a BF16 mixture-of-experts layer for many tokens an expert, on sm_90a.
//
// A tile is 192 weight rows (2880 = 15 × 192) by up to 256 tokens of one expert: the weights are the rows of the warpgroup's matrix
// instruction and the tokens its columns, which come in steps of 16, so that an expert's odd number of tokens costs little. Three
// warpgroups compute 64 rows each, a fourth fills three shared-memory stages of 64 values of the inner dimension: weights by the copy
// engine, tokens by 16-byte copies of gathered rows (first product) or by the copy engine (second). Thread blocks stay and take every
// gridDim.x-th tile; tiles of one expert are neighbours and those of one weight stripe next to each other, so that what they share
// comes from L2.
//
// Blocks of 512 threads, kSharedBytes of dynamic shared memory, one block a multiprocessor.
#include "mbarrier.cuh"
#include "tma.cuh"
#include "wgmma.cuh"

namespace
{
constexpr int kGroups = 3, kRows = 64 * kGroups, kTokens = 256, kDepth = 64, kStages = 3, kThreads = 128 * (kGroups + 1);
constexpr int kLoaderRegisters = 32, kGroupRegisters = 160;
constexpr int kMaxExperts = 512;
constexpr int kWeightBytes = kRows * kDepth * 2, kStageBytes = kWeightBytes + kTokens * kDepth * 2;
constexpr int kTokenBox = 32;                       // tokens a copy of the second product brings
constexpr int kOutBytes = 8192;                     // a warpgroup's results on their way out
constexpr int kOutBase = kStages * kStageBytes, kTableBase = kOutBase + kGroups * kOutBytes;
constexpr int kOffsetsBase = kTableBase + 2 * kTokens * 8;
constexpr int kPrefixBase = kOffsetsBase + (kMaxExperts + 4) * 4, kBarrierBase = kPrefixBase + (kMaxExperts + 4) * 4;
constexpr int kSharedBytes = kBarrierBase + 2 * kStages * 8 + 1024;  // 1024: to align the stages
static_assert(kSharedBytes <= 232448, "what a block may have");

constexpr int kLoaderBarrier = 1, kGroupBarrier = 2;  // named barriers; the groups use kGroupBarrier + group
}

struct GroupedParameters
{
    TensorMap weight;            // first: {depth, 8, 2, intermediate / 8, experts}, see below; second: {depth, rows, experts}
    TensorMap act;               // second only: {depth, pairs}, box {64, 32}
    const u16* x;                // first only: BF16 [tokens, x_stride], rows 16-byte aligned
    const float* bias;           // first only: [experts, rows], or null
    u16* out;                    // first: BF16 [sorted pairs, out_stride]; second: BF16 [pairs, out_stride], without bias and router weight
    const int* expert_offsets;   // [experts + 1]
    const int* sorted_pairs;     // [pairs], a pair is token · top_k + k
    i64 x_stride;                // elements, a multiple of 8
    i64 out_stride;              // elements, a multiple of 8
    int rows;                    // first: 2 · intermediate (gate, up interleaved); second: hidden
    int depth;                   // inner dimension, a multiple of 8
    int top_k;
    int experts;                 // at most 512
    float alpha, limit, up_bias; // act = (min(max(up, −limit), limit) + up_bias) · gate · sigmoid(alpha · gate), gate = min(gate, limit)
    int reserved;
};

namespace
{
/// A tile: which expert, which weight rows, which of the expert's sorted pairs.
struct Tile
{
    int expert, row0, first, count;
};

/// Walks this block's tiles. An expert's tokens are divided evenly into as few tiles as hold them.
struct Schedule
{
    const int* offsets;
    int stripes, tile, expert;

    __device__ __forceinline__ bool next(Tile& t, int experts)
    {
        const int* prefix = offsets + (kPrefixBase - kOffsetsBase) / 4;  // token tiles of the experts before
        if (tile >= prefix[experts] * stripes)
        {
            return false;
        }

        while (tile >= prefix[expert + 1] * stripes)
        {
            expert++;
        }

        const int tiles = prefix[expert + 1] - prefix[expert], local = tile - prefix[expert] * stripes;
        const int begin = offsets[expert], rows = offsets[expert + 1] - begin;
        // All but the last share fit kTokens, and they never cover all rows: no tile is empty.
        const int share = ceil_div(ceil_div(rows, tiles), 16) * 16, part = local % tiles * share;
        t.expert = expert;
        t.row0 = local / tiles * kRows;
        t.first = begin + part;
        t.count = min(share, rows - part);
        tile += gridDim.x;
        return true;
    }
};

struct Ring
{
    int stage;
    u32 phase;

    __device__ __forceinline__ void advance()
    {
        stage++;
        if (stage == kStages)
        {
            stage = 0;
            phase ^= 1;
        }
    }
};

template <int kColumns>
__device__ __forceinline__ void accumulate(float (&d)[kColumns / 2], Ring& ring, u32 stages, int group, int steps, bool fence)
{
    const u32 barriers = stages + kBarrierBase;
#pragma unroll 1
    for (int step = 0; step < steps; step++)
    {
        mbarrier_wait(barriers + ring.stage * 8, ring.phase);
        if (fence)
        {
            fence_async_proxy();
        }

        const u32 stage = stages + ring.stage * kStageBytes;
        const u64 a = wgmma_descriptor(stage + group * 64 * kDepth * 2), b = wgmma_descriptor(stage + kWeightBytes);
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < kDepth / 16; k++)
        {
            // Two narrow products rather than a wide one: with 512 threads the compiler has too few registers for that.
            if constexpr (kColumns <= 128)
            {
                wgmma_bf16<kColumns>(d, a + 2 * k, b + 2 * k);
            }
            else
            {
                wgmma_bf16<kColumns / 2>(d, a + 2 * k, b + 2 * k);
                wgmma_bf16<kColumns / 2>(d + kColumns / 4, a + 2 * k, b + 2 * k + kColumns / 2 * kDepth * 2 / 16);
            }
        }

        wgmma_commit();
        wgmma_wait<0>();
        if (threadIdx.x % 32 == 0)
        {
            mbarrier_arrive(barriers + (kStages + ring.stage) * 8);
        }

        ring.advance();
    }
}

template <bool kFirst>
__device__ __forceinline__ void load_tiles(const GroupedParameters& p, Schedule schedule, char* shared, u32 stages)
{
    const int thread = threadIdx.x;
    const int steps = ceil_div(p.depth, kDepth);
    const u32 barriers = stages + kBarrierBase;
    Ring ring = {0, 1};
    Tile tile;
    if constexpr (kFirst)
    {
        const int chunk = thread % 8, row = thread / 8;
        const u32 swizzled = stages + kWeightBytes + row * 128 + ((chunk ^ (row % 8)) * 16);
        int table = 0;
        while (schedule.next(tile, p.experts))
        {
            // Two tables, for the slowest thread may still read the one of the tile before.
            u64* rows = (u64*)(shared + kTableBase) + table * kTokens;
            table ^= 1;
#pragma unroll 1  // here and below: this warpgroup has 32 registers
            for (int i = thread; i < kTokens; i += 128)
            {
                const int pair = p.sorted_pairs[tile.first + min(i, tile.count - 1)];
                rows[i] = (u64)(p.x + (i64)(pair / p.top_k) * p.x_stride);
            }

            named_barrier(kLoaderBarrier, 128);
            const int rounds = ceil_div(tile.count, 16);
#pragma unroll 1
            for (int step = 0; step < steps; step++)
            {
                const u32 full = barriers + ring.stage * 8;
                mbarrier_wait(full + kStages * 8, ring.phase);
                if (thread == 0)
                {
                    mbarrier_arrive_expect(full, kWeightBytes);
                    tma_load_5d(stages + ring.stage * kStageBytes, &p.weight, full, step * kDepth, 0, 0, tile.row0 / 16, tile.expert);
                }

                const u32 to = swizzled + ring.stage * kStageBytes;
                const int k = step * kDepth + chunk * 8, bytes = k < p.depth ? 16 : 0;
#pragma unroll 4
                for (int i = 0; i < rounds; i++)
                {
                    copy_async(to + i * 16 * 128, (const void*)(rows[i * 16 + row] + (u32)(2 * k)), bytes);
                }

                mbarrier_arrive_copy_async(full);
                ring.advance();
            }
        }

        copy_async_commit();
        copy_async_wait<0>();
    }
    else if (thread == 0)
    {
        while (schedule.next(tile, p.experts))
        {
            const int boxes = ceil_div(tile.count, kTokenBox);
            for (int step = 0; step < steps; step++)
            {
                const u32 full = barriers + ring.stage * 8, to = stages + ring.stage * kStageBytes;
                mbarrier_wait(full + kStages * 8, ring.phase);
                mbarrier_arrive_expect(full, kWeightBytes + boxes * kTokenBox * kDepth * 2);
                tma_load_3d(to, &p.weight, full, step * kDepth, tile.row0, tile.expert);
                for (int i = 0; i < boxes; i++)
                {
                    tma_load_2d(to + kWeightBytes + i * kTokenBox * kDepth * 2, &p.act, full, step * kDepth, tile.first + i * kTokenBox);
                }

                ring.advance();
            }
        }
    }
}

__device__ __forceinline__ float activate(const GroupedParameters& p, float gate, float up)
{
    gate = fminf(gate, p.limit);
    up = fminf(fmaxf(up, -p.limit), p.limit);
    return (up + p.up_bias) * gate * __fdividef(1.0f, 1.0f + __expf(-p.alpha * gate));
}

template <int kColumns>
/// SwiGLU, and 32 columns of act: the copy engine laid the rows out as 8 gates and their 8 ups, so both are one thread's.
__device__ __forceinline__ void store_act(const GroupedParameters& p, const Tile& tile, float (&d)[kColumns / 2], char* shared, int group)
{
    const int thread = threadIdx.x % 128, lane = thread % 32, warp = thread / 32;
    const int column0 = tile.row0 / 2 + group * 32, mine = column0 + warp * 8 + lane / 4, intermediate = p.rows / 2;
    const float2 bias = p.bias != nullptr && mine < intermediate ? *(const float2*)(p.bias + (i64)tile.expert * p.rows + 2 * mine)
                                                                 : make_float2(0, 0);
    char* staged = shared + kOutBase + group * kOutBytes;
    constexpr int kPart = kOutBytes / 64;
    const int chunk = thread % 4;
#pragma unroll
    for (int part = 0; part < kColumns; part += kPart)
    {
        named_barrier(kGroupBarrier + group, 128);
#pragma unroll
        for (int token = part; token < min(part + kPart, kColumns); token += 32)
        {
            u32 packed[4];
#pragma unroll
            for (int i = 0; i < 4; i++)
            {
                const int at = min(token / 2 + i * 4, kColumns / 2 - 4);
                packed[i] = pack_bf16(activate(p, d[at] + bias.x, d[at + 2] + bias.y), activate(p, d[at + 1] + bias.x, d[at + 3] + bias.y));
            }

            store_matrix_transposed_x4(shared_address(staged) + (token - part + lane) * 64 + ((warp ^ (lane / 2 % 4)) * 16), packed[0],
                                       packed[1], packed[2], packed[3]);
        }

        named_barrier(kGroupBarrier + group, 128);
        if (column0 + chunk * 8 < intermediate)
        {
            for (int token = thread / 4; token < min(kPart, tile.count - part); token += 32)
            {
                *(uint4*)(p.out + (i64)(tile.first + part + token) * p.out_stride + column0 + chunk * 8) =
                    *(const uint4*)(staged + token * 64 + ((chunk ^ (token / 2 % 4)) * 16));
            }
        }
    }
}

template <int kColumns>
/// 64 columns of the pairs' results.
__device__ __forceinline__ void store_pairs(const GroupedParameters& p, const Tile& tile, float (&d)[kColumns / 2], char* shared, int group)
{
    const int thread = threadIdx.x % 128, lane = thread % 32, warp = thread / 32;
    const int column0 = tile.row0 + group * 64, chunk = thread % 8;
    char* staged = shared + kOutBase + group * kOutBytes;
    constexpr int kPart = kOutBytes / 128;
#pragma unroll
    for (int part = 0; part < kColumns; part += kPart)
    {
        named_barrier(kGroupBarrier + group, 128);
#pragma unroll
        for (int token = part; token < min(part + kPart, kColumns); token += 16)
        {
            const int at = token / 2, mine = token - part + lane / 16 * 8 + lane % 8, to = warp * 2 + lane / 8 % 2;
            store_matrix_transposed_x4(shared_address(staged) + mine * 128 + ((to ^ (lane % 8)) * 16), pack_bf16(d[at], d[at + 1]),
                                       pack_bf16(d[at + 2], d[at + 3]), pack_bf16(d[at + 4], d[at + 5]), pack_bf16(d[at + 6], d[at + 7]));
        }

        named_barrier(kGroupBarrier + group, 128);
        if (column0 + chunk * 8 < p.rows)
        {
            for (int token = thread / 8; token < min(kPart, tile.count - part); token += 16)
            {
                const i64 pair = p.sorted_pairs[tile.first + part + token];
                *(uint4*)(p.out + pair * p.out_stride + column0 + chunk * 8) =
                    *(const uint4*)(staged + token * 128 + ((chunk ^ (token % 8)) * 16));
            }
        }
    }
}

template <bool kFirst, int kColumns>
__device__ __forceinline__ void compute_tile(const GroupedParameters& p, const Tile& tile, Ring& ring, char* shared, u32 stages,
                                             int group, int steps)
{
    // Zeroed rather than overwritten by the first product: else the compiler carries the registers of all widths from tile to tile.
    float d[kColumns / 2];
#pragma unroll
    for (int i = 0; i < kColumns / 2; i++)
    {
        d[i] = 0;
    }

    accumulate<kColumns>(d, ring, stages, group, steps, kFirst);
    if constexpr (kFirst)
    {
        store_act<kColumns>(p, tile, d, shared, group);
    }
    else
    {
        store_pairs<kColumns>(p, tile, d, shared, group);
    }
}

template <bool kFirst>
__device__ __forceinline__ void compute_tiles(const GroupedParameters& p, Schedule schedule, char* shared, u32 stages)
{
    const int group = threadIdx.x / 128 - 1, steps = ceil_div(p.depth, kDepth);
    Ring ring = {0, 0};
    Tile tile;
    while (schedule.next(tile, p.experts))
    {
        switch (ceil_div(tile.count, 16))
        {
#define MOE_COLUMNS(n)                                                                      \
    case n / 16:                                                                            \
        compute_tile<kFirst, n>(p, tile, ring, shared, stages, group, steps);         \
        break;
            MOE_COLUMNS(16)
            MOE_COLUMNS(32)
            MOE_COLUMNS(48)
            MOE_COLUMNS(64)
            MOE_COLUMNS(80)
            MOE_COLUMNS(96)
            MOE_COLUMNS(112)
            MOE_COLUMNS(128)
            MOE_COLUMNS(144)
            MOE_COLUMNS(160)
            MOE_COLUMNS(176)
            MOE_COLUMNS(192)
            MOE_COLUMNS(208)
            MOE_COLUMNS(224)
            MOE_COLUMNS(240)
            MOE_COLUMNS(256)
#undef MOE_COLUMNS
        }
    }
}

template <bool kFirst>
__device__ __forceinline__ void grouped_product(const GroupedParameters& p)
{
    extern __shared__ char unaligned[];
    char* shared = unaligned + (1024 - shared_address(unaligned) % 1024) % 1024;
    const u32 stages = shared_address(shared), barriers = stages + kBarrierBase;
    int* offsets = (int*)(shared + kOffsetsBase);
    int* prefix = (int*)(shared + kPrefixBase);
    if (threadIdx.x == 0)
    {
        tma_prefetch_map(&p.weight);
        for (int i = 0; i < kStages; i++)
        {
            mbarrier_init(barriers + i * 8, kFirst ? 129 : 1);
            mbarrier_init(barriers + (kStages + i) * 8, kGroups * 4);
        }

        mbarrier_fence_init();
    }

    wait_for_previous_launch();
    allow_next_launch();
    for (int e = threadIdx.x; e <= p.experts; e += kThreads)
    {
        offsets[e] = p.expert_offsets[e];
    }

    __syncthreads();
    if (threadIdx.x < 32)
    {
        int before = 0;
        for (int base = 0; base < p.experts; base += 32)
        {
            const int e = base + threadIdx.x, own = e < p.experts ? ceil_div(offsets[e + 1] - offsets[e], kTokens) : 0;
            int sum = own;
#pragma unroll
            for (int i = 1; i < 32; i *= 2)
            {
                const int up = __shfl_up_sync(~0u, sum, i);
                sum += threadIdx.x >= i ? up : 0;
            }

            if (e < p.experts)
            {
                prefix[e] = before + sum - own;
            }

            before += __shfl_sync(~0u, sum, 31);
        }

        if (threadIdx.x == 0)
        {
            prefix[p.experts] = before;
        }
    }

    __syncthreads();
    const Schedule schedule = {offsets, ceil_div(p.rows, kRows), (int)blockIdx.x, 0};
    if (threadIdx.x < 128)
    {
        registers_lower<kLoaderRegisters>();
        load_tiles<kFirst>(p, schedule, shared, stages);
    }
    else
    {
        registers_raise<kGroupRegisters>();
        compute_tiles<kFirst>(p, schedule, shared, stages);
    }
}
}

extern "C" __global__ void __launch_bounds__(kThreads, 1) moe_bf16_prefill_product1(const __grid_constant__ GroupedParameters p)
{
    grouped_product<true>(p);
}

extern "C" __global__ void __launch_bounds__(kThreads, 1) moe_bf16_prefill_product2(const __grid_constant__ GroupedParameters p)
{
    grouped_product<false>(p);
}
