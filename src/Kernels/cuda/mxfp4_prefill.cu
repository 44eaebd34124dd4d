// Both products of an MXFP4 mixture-of-experts layer for many tokens an expert, on sm_90a.
//
// A tile is MOE_ROWS weight rows by up to MOE_TOKENS tokens of one expert. The weights are the rows of the warpgroup's matrix instruction: each
// warpgroup reads 64 rows' codes from shared memory and widens them into the registers that the instruction takes as its first operand, one
// step of 64 inputs ahead of the step that is being multiplied. Tokens are its columns, in steps of 8 or 16, so that an expert's odd number of
// tokens costs little. One thread fills the stages of a step each by the copy engine, weights and tokens alike: the first product reads rows
// that gather.cu has brought into order.
//
// Compiled with -DMOE_TOKENS, which names the entry points, -DMOE_ROWS, -DMOE_BLOCKS (thread blocks a multiprocessor), -DMOE_STAGES,
// -DMOE_GROUP_REGISTERS and -DMOE_SHARED_BYTES. With -DMOE_MXFP8=1 the first product's results are rounded to MXFP8 (mxfp8_round.cuh).
#include "grouped.cuh"
#include "mbarrier.cuh"
#include "mxfp4.cuh"
#include "tma.cuh"
#include "wgmma.cuh"

#ifndef MOE_MXFP8
#define MOE_MXFP8 0
#endif

#define MOE_JOIN(a, n) a##_n##n
#define MOE_EXPAND(a, n) MOE_JOIN(a, n)

namespace
{
constexpr int kRows = MOE_ROWS, kGroups = kRows / 64, kTokens = MOE_TOKENS, kBlocks = MOE_BLOCKS, kStages = MOE_STAGES;
constexpr int kThreads = 128 * (kGroups + 1), kLoaderRegisters = 24, kGroupRegisters = MOE_GROUP_REGISTERS;
constexpr int kTokenBytes = kTokens * kGroupDepth * 2, kWeightBytes = kRows / kGroupRows * kGroupBytes;
constexpr int kWideBox = 64, kNarrowBox = 16;  // tokens that one copy brings
constexpr int kOutBytes = 4096;                // a warpgroup's results on their way out
constexpr int kWeightBase = kStages * kTokenBytes, kOutBase = kWeightBase + kStages * kWeightBytes;
constexpr int kOffsetsBase = kOutBase + kGroups * kOutBytes, kBarrierBase = kOffsetsBase + kScheduleBytes;
constexpr int kSharedBytes = kBarrierBase + 2 * kStages * 8 + 1024;  // 1024: to align the stages
constexpr bool kMxfp8 = MOE_MXFP8;
constexpr int kLargest = mxfp8_pairs(kOutBytes / 64), kLargestBytes = kMxfp8 ? kGroups * kLargest * 16 : 0;
static_assert(kSharedBytes == MOE_SHARED_BYTES && kSharedBytes <= 232448, "what the host asks for, and what a block may have");
static_assert((kSharedBytes + kLargestBytes + 1024) * kBlocks <= 233472, "a multiprocessor has room for the blocks");
static_assert(kTokens % kWideBox == 0 && kTokens <= 256 && kRows % 64 == 0, "whole copies and matrix instructions");
static_assert(kLoaderRegisters + kGroups * kGroupRegisters <= 65536 / kBlocks / kThreads / 8 * 8 * (kGroups + 1),
              "a launch takes even shares of the registers; raising to more than is given back would wait for ever");
}

struct Mxfp4GroupedParameters
{
    TensorMap weight;            // 32-bit words {136, steps, groups, experts} (mxfp4.cuh), box {136, 1, MOE_ROWS / 16, 1}
    TensorMap wide;              // BF16 {depth, pairs}: rows in sorted order, box {64, 64}, 128-byte swizzle
    TensorMap narrow;            // the same, box {64, 16}
    const float* bias;           // first product only: [experts, rows], or null
    const float* factor;         // [experts, rows], or null where all are 1
    u16* out;                    // first: BF16 [sorted pairs, out_stride]; second: BF16 [pairs, out_stride], without bias and router weight
    const int* expert_offsets;   // [experts + 1]
    const int* sorted_pairs;     // second only: [pairs], a pair is token · top_k + k
    i64 out_stride;              // elements, a multiple of 8
    int rows;                    // first: 2 · intermediate; second: hidden; a multiple of 16
    int depth;                   // inner dimension, a multiple of 32
    int experts;                 // at most 512
    float alpha, limit, up_bias; // as Activation (grouped.cuh)
    int reserved[2];
};

namespace
{
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

/// One thread.
__device__ __forceinline__ void load_tiles(const Mxfp4GroupedParameters& p, Schedule<kRows> schedule, u32 shared)
{
    const int steps = ceil_div(p.depth, kGroupDepth);
    Ring ring = {0, 1};
    Tile tile;
    while (schedule.next(tile, p.experts))
    {
        // A last copy of few tokens is narrow: what is fetched beyond the tile's tokens comes from L2 too.
        const int narrow = ceil_div(tile.count % kWideBox, kNarrowBox), wide = tile.count / kWideBox + (narrow > 2);
        const int bytes = kWeightBytes + (wide * kWideBox + (narrow > 2 ? 0 : narrow) * kNarrowBox) * kGroupDepth * 2;
        for (int step = 0; step < steps; step++)
        {
            const u32 full = shared + kBarrierBase + ring.stage * 8;
            u32 tokens = shared + ring.stage * kTokenBytes;
            mbarrier_wait(full + kStages * 8, ring.phase);
            mbarrier_arrive_expect(full, bytes);
            tma_load_4d(shared + kWeightBase + ring.stage * kWeightBytes, &p.weight, full, 0, step, tile.row0 / kGroupRows, tile.expert);
            for (int box = 0; box < wide; box++)
            {
                tma_load_2d(tokens, &p.wide, full, step * kGroupDepth, tile.first + box * kWideBox);
                tokens += kWideBox * kGroupDepth * 2;
            }

            for (int box = 0; box < narrow && narrow <= 2; box++)
            {
                tma_load_2d(tokens, &p.narrow, full, step * kGroupDepth, tile.first + wide * kWideBox + box * kNarrowBox);
                tokens += kNarrowBox * kGroupDepth * 2;
            }

            ring.advance();
        }
    }
}

/// A warpgroup's part of what the rounding needs: one array for all widths of a tile.
__device__ __forceinline__ uint4* largest_of(int group)
{
    __shared__ uint4 largest[kGroups][kLargest];
    return largest[group];
}

/// A step's 64 rows as the matrix instruction takes them.
__device__ __forceinline__ void widen_step(u32 (&a)[4][4], u32 group)
{
    const int lane = threadIdx.x % 32;
    const uint4 codes = load_shared(group + lane * 16);
    const u32 scales = load_shared_word(group + kGroupCodeBytes + lane / 4 * 4);
    const u32 words[4] = {codes.x, codes.y, codes.z, codes.w};
#pragma unroll
    for (int half = 0; half < 2; half++)
    {
        const u32 low = scale_factor(scales, half), high = scale_factor(scales, half + 2);
        widen_codes(a[2 * half], words[2 * half], low, high);
        widen_codes(a[2 * half + 1], words[2 * half + 1], low, high);
    }
}

template <int kColumns>
__device__ __forceinline__ void multiply_step(float* d, const u32 (&a)[4][4], u64 columns)
{
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < 4; k++)
    {
        wgmma_bf16<kColumns>(d, a[k], columns + 2 * k);
    }

    wgmma_commit();
}

template <int kColumns>
__device__ __forceinline__ void accumulate(float* d, Ring& ring, u32 shared, int steps)
{
    const u32 barriers = shared + kBarrierBase, groups = shared + kWeightBase + (threadIdx.x / 32 - 4) * kGroupBytes;
    u32 even[4][4], odd[4][4];
    auto widen = [&](u32(&a)[4][4]) {
        mbarrier_wait(barriers + ring.stage * 8, ring.phase);
        widen_step(a, groups + ring.stage * kWeightBytes);
    };
    auto multiply = [&](const u32(&a)[4][4]) {
        multiply_step<kColumns>(d, a, wgmma_descriptor(shared + ring.stage * kTokenBytes));
        ring.advance();
    };
    auto release = [&](int stage) {
        if (threadIdx.x % 32 == 0)
        {
            mbarrier_arrive(barriers + (kStages + stage) * 8);
        }
    };
    widen(even);
    int step = 0;
#pragma unroll 1
    for (; step + 1 < steps; step += 2)
    {
        const int first = ring.stage;
        multiply(even);
        const int second = ring.stage;
        widen(odd);
        multiply(odd);
        wgmma_wait<1>();
        release(first);
        if (step + 2 < steps)
        {
            widen(even);
        }

        // None may be under way at the end of a round, or the compiler finds no registers for all the widths.
        wgmma_wait<0>();
        release(second);
    }

    if (step < steps)
    {
        const int last = ring.stage;
        multiply(even);
        wgmma_wait<0>();
        release(last);
    }
}

template <bool kFirst, int kColumns>
__device__ __forceinline__ void compute_tile(const Mxfp4GroupedParameters& p, const Tile& tile, float* d, Ring& ring, char* shared, int group,
                                             int steps)
{
    accumulate<kColumns>(d, ring, shared_address(shared), steps);
    char* staged = shared + kOutBase + group * kOutBytes;
    if constexpr (kFirst)
    {
        const Activation activation = {p.alpha, p.limit, p.up_bias};
        store_act<kColumns, kOutBytes, kMxfp8>(activation, tile, d, staged, group, p.bias, p.factor, p.rows / 2, p.out, p.out_stride,
                                               kMxfp8 ? largest_of(group) : nullptr);
    }
    else
    {
        store_pairs<kColumns, kOutBytes>(tile, d, staged, group, p.factor, p.rows, p.sorted_pairs, p.out, p.out_stride);
    }
}

template <bool kFirst>
__device__ __forceinline__ void compute_tiles(const Mxfp4GroupedParameters& p, Schedule<kRows> schedule, char* shared)
{
    const int group = threadIdx.x / 128 - 1, steps = ceil_div(p.depth, kGroupDepth);
    Ring ring = {0, 0};
    Tile tile;
    constexpr int kUnit = kTokens == 64 ? 8 : 16;
    while (schedule.next(tile, p.experts))
    {
        // One array for all widths, zeroed here: with one each, the compiler finds no registers for them.
        float d[kTokens / 2];
#pragma unroll
        for (int i = 0; i < kTokens / 2; i++)
        {
            d[i] = 0;
        }

        switch (ceil_div(tile.count, kUnit))
        {
#define MOE_COLUMNS(n)                                                               \
    case n:                                                                          \
        if constexpr (n * kUnit <= kTokens)                                          \
        {                                                                            \
            compute_tile<kFirst, n * kUnit>(p, tile, d, ring, shared, group, steps); \
        }                                                                            \
        break;
            MOE_COLUMNS(1)
            MOE_COLUMNS(2)
            MOE_COLUMNS(3)
            MOE_COLUMNS(4)
            MOE_COLUMNS(5)
            MOE_COLUMNS(6)
            MOE_COLUMNS(7)
            MOE_COLUMNS(8)
            MOE_COLUMNS(9)
            MOE_COLUMNS(10)
            MOE_COLUMNS(11)
            MOE_COLUMNS(12)
            MOE_COLUMNS(13)
            MOE_COLUMNS(14)
            MOE_COLUMNS(15)
            MOE_COLUMNS(16)
#undef MOE_COLUMNS
        }
    }
}

template <bool kFirst>
__device__ __forceinline__ void grouped_product(const Mxfp4GroupedParameters& p)
{
    extern __shared__ char unaligned[];
    char* shared = unaligned + (1024 - shared_address(unaligned) % 1024) % 1024;
    const u32 base = shared_address(shared), barriers = base + kBarrierBase;
    int* offsets = (int*)(shared + kOffsetsBase);
    if (threadIdx.x == 0)
    {
        tma_prefetch_map(&p.weight);
        tma_prefetch_map(&p.wide);
        tma_prefetch_map(&p.narrow);
        for (int i = 0; i < kStages; i++)
        {
            mbarrier_init(barriers + i * 8, 1);
            mbarrier_init(barriers + (kStages + i) * 8, kGroups * 4);
        }

        mbarrier_fence_init();
    }

    wait_for_previous_launch();
    allow_next_launch();
    prepare_schedule<kTokens, kThreads>(p.expert_offsets, p.experts, offsets);
    const Schedule<kRows> schedule = {offsets, ceil_div(p.rows, kRows), (int)blockIdx.x, 0};
    if (threadIdx.x < 128)
    {
        registers_lower<kLoaderRegisters>();
        if (threadIdx.x == 0)
        {
            load_tiles(p, schedule, base);
        }
    }
    else
    {
        registers_raise<kGroupRegisters>();
        compute_tiles<kFirst>(p, schedule, shared);
    }
}
}

extern "C" __global__ void __launch_bounds__(kThreads, kBlocks) MOE_EXPAND(moe_mxfp4_product1, MOE_TOKENS)(const __grid_constant__ Mxfp4GroupedParameters p)
{
    grouped_product<true>(p);
}

extern "C" __global__ void __launch_bounds__(kThreads, kBlocks) MOE_EXPAND(moe_mxfp4_product2, MOE_TOKENS)(const __grid_constant__ Mxfp4GroupedParameters p)
{
    grouped_product<false>(p);
}
