// Both products of a BF16 mixture-of-experts layer for many tokens per expert, on sm_90a.
//
// A tile is 192 weight rows (2880 = 15 × 192) by up to 256 tokens of one expert: the weights are the rows of the warpgroup's matrix
// instruction and the tokens its columns, which come in steps of 16, so that an expert's odd number of tokens costs little. Three
// warpgroups compute 64 rows each; a thread of a fourth fills three shared-memory stages of 64 values of the inner dimension by TMA,
// weights and tokens alike: the first product reads rows that gather.cu has brought into order. Weights and offsets are older than the
// launch before, so the first stages' weights are fetched before waiting for it. The second product waits for no launch but for the experts that it
// comes to (TileBefore in tile_scheduler.cuh). Thread blocks stay; after its first tile a block draws the next one's number (TileNumbers in tile_scheduler.cuh).
//
// Blocks of 512 threads, kSharedBytes of dynamic shared memory, one block per multiprocessor.
#include "epilogue/store_tile.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/tma.cuh"
#include "ptx/wgmma.cuh"
#include "scheduler/stage_ring.cuh"
#include "scheduler/tile_scheduler.cuh"

namespace
{
constexpr int kGroups = 3, kRows = 64 * kGroups, kTokens = 256, kDepth = 64, kStages = 3, kThreads = 128 * (kGroups + 1);
constexpr int kLoaderRegisters = 32, kGroupRegisters = 160;
constexpr int kWeightBytes = kRows * kDepth * 2, kStageBytes = kWeightBytes + kTokens * kDepth * 2;
constexpr int kMostExperts = 1024;
constexpr int kTokenBox = 32;    // tokens that one copy brings
constexpr int kOutBytes = 8192;  // a warpgroup's results in the epilogue
constexpr int kOutBase = kStages * kStageBytes, kOffsetsBase = kOutBase + kGroups * kOutBytes;
constexpr int kPairsBase = kOffsetsBase + schedule_bytes(kMostExperts), kBarrierBase = kPairsBase + kGroups * kTokens * 4;
constexpr int kNumbersBase = kBarrierBase + 2 * kStages * 8;
constexpr int kSharedBytes = kNumbersBase + kNumberBytes + 1024;  // 1024: to align the stages
static_assert(kStages + 1 < kNumberSlots, "no thread is further behind");
static_assert(kSharedBytes == 209616 && kSharedBytes <= 232448, "what the host asks for, and what a block may have");
}

struct GroupedParameters
{
    TensorMap weight;            // first: {depth, 8, 2, intermediate / 8, experts}, box {64, 8, 2, 12, 1}: gates and ups apart;
                                 // second, and first without gates: {depth, rows, experts}, box {64, 192, 1}
    TensorMap tokens;            // BF16 {depth, pairs}: rows in sorted order, box {64, 32}
    const float* bias;           // [experts, rows], or null
    const float* factor;         // [experts, rows]: of the sums, before the bias; null where all are 1
    u16* out;                    // first: BF16 [sorted pairs, out_stride]; second: BF16 [pairs, out_stride], without router weight
    const int* expert_offsets;   // [experts + 1]
    const int* sorted_pairs;     // second only: [pairs], a pair is token · top_k + k
    ProductCounters counters;    // 0 before
    i64 out_stride;              // elements, a multiple of 8
    int rows;                    // first: 2 · intermediate (gate, up interleaved), or intermediate without gates; second: hidden
    int depth;                   // inner dimension, a multiple of 8
    int experts;                 // at most 1024
    Activation activation;
};

namespace
{
using Ring = StageRing<kStages>;
using Schedule = TileScheduler<kRows, kMostExperts>;

/// Tokens of a tile, of both products: others than the common activation need registers that sums of 256 tokens leave none of.
template <typename TActivation>
struct TileTokens
{
    static constexpr int kMost = 192;
};

template <>
struct TileTokens<Activation>
{
    static constexpr int kMost = kTokens;
};

template <int kColumns>
__device__ __forceinline__ void accumulate(float (&d)[kColumns / 2], Ring& ring, u32 stages, int group, int steps)
{
    const u32 barriers = stages + kBarrierBase;
#pragma unroll 1
    for (int step = 0; step < steps; step++)
    {
        mbarrier_wait(barriers + ring.stage * 8, ring.phase);
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

/// One thread. TActivation: activation.cuh.
template <bool kFirst, typename TActivation>
__device__ __forceinline__ void load_tiles(const GroupedParameters& p, Schedule schedule, TileNumbers numbers, u32 stages)
{
    const int steps = ceil_div(p.depth, kDepth);
    const u32 barriers = stages + kBarrierBase;
    Ring ring = {0, 1};
    bool is_first_tile = true;
    TileBefore<kFirst> last;
    Tile tile;
    for (int number = blockIdx.x; schedule.find(tile, number, p.experts); number = numbers.take())
    {
        const int boxes = ceil_div(tile.count, kTokenBox);
        auto load_weights = [&](const Ring& at, int step) {
            const u32 full = barriers + at.stage * 8, to = stages + at.stage * kStageBytes;
            mbarrier_wait(full + kStages * 8, at.phase);
            mbarrier_arrive_expect(full, kWeightBytes + boxes * kTokenBox * kDepth * 2);
            if constexpr (kFirst && TActivation::kNeuronRows == 2)
            {
                tma_load_5d(to, &p.weight, full, step * kDepth, 0, 0, tile.row0 / 16, tile.expert);
            }
            else
            {
                tma_load_3d(to, &p.weight, full, step * kDepth, tile.row0, tile.expert);
            }
        };
        int early = 0;
        if (is_first_tile)
        {
            early = min(steps, kStages);
            Ring ahead = ring;
            for (int step = 0; step < early; step++)
            {
                load_weights(ahead, step);
                ahead.advance();
            }

            if (kFirst)
            {
                wait_for_previous_launch();
            }

            allow_next_launch();
            is_first_tile = false;
        }

        last.wait_for_rows(p.counters, schedule, tile, TActivation::kNeuronRows * p.depth);
        const int drawn = p.counters.draw<kFirst>();  // the answer comes while this tile is loaded
#pragma unroll 1
        for (int step = 0; step < steps; step++)
        {
            if (step >= early)
            {
                load_weights(ring, step);
            }

            const u32 full = barriers + ring.stage * 8, to = stages + ring.stage * kStageBytes + kWeightBytes;
            for (int i = 0; i < boxes; i++)
            {
                tma_load_2d(to + i * kTokenBox * kDepth * 2, &p.tokens, full, step * kDepth, tile.first + i * kTokenBox);
            }

            ring.advance();
        }

        numbers.hand_out(drawn);
        last.announce(p.counters, numbers, tile.expert);
    }

    last.announce(p.counters, numbers, -1);

    // The second product too: whoever waits for it shall have waited for the first.
    wait_for_previous_launch();
    allow_next_launch();
}

template <bool kFirst, typename TActivation, int kColumns>
__device__ __forceinline__ void compute_tile(const GroupedParameters& p, const Tile& tile, Ring& ring, char* shared, u32 stages,
                                             int group, int steps)
{
    int* pairs = (int*)(shared + kPairsBase) + group * kTokens;
    const float2 bias = fetch_for_store<kFirst, TActivation::kNeuronRows>(tile, group, p.bias, p.rows, p.sorted_pairs, pairs);

    // Zeroed rather than overwritten by the first product: else the compiler carries the registers of all widths from tile to tile.
    float d[kColumns / 2];
#pragma unroll
    for (int i = 0; i < kColumns / 2; i++)
    {
        d[i] = 0;
    }

    accumulate<kColumns>(d, ring, stages, group, steps);
    char* staged = shared + kOutBase + group * kOutBytes;
    if constexpr (kFirst && TActivation::kNeuronRows == 1)
    {
        store_act_rows<kColumns, kOutBytes>(TActivation{p.activation}, tile, d, staged, group, bias, p.factor, p.rows, p.out, p.out_stride, RoundBf16());
    }
    else if constexpr (kFirst)
    {
        store_act<kColumns, kOutBytes>(TActivation{p.activation}, tile, d, staged, group, bias, p.factor, p.rows / 2, p.out, p.out_stride, RoundBf16());
    }
    else
    {
        store_pairs<kColumns, kOutBytes>(tile, d, staged, group, bias, p.factor, p.rows, pairs, p.out, p.out_stride);
    }
}

template <bool kFirst, typename TActivation>
__device__ __forceinline__ void compute_tiles(const GroupedParameters& p, Schedule schedule, TileNumbers numbers, char* shared, u32 stages)
{
    const int group = threadIdx.x / 128 - 1, steps = ceil_div(p.depth, kDepth);
    Ring ring = {0, 0};
    Tile tile;
    for (int number = blockIdx.x; schedule.find(tile, number, p.experts); number = numbers.take())
    {
        switch (ceil_div(tile.count, 16))
        {
#define MOE_COLUMNS(n)                                                                      \
    case n / 16:                                                                            \
        if constexpr (n <= TileTokens<TActivation>::kMost)                                  \
        {                                                                                   \
            compute_tile<kFirst, TActivation, n>(p, tile, ring, shared, stages, group, steps); \
        }                                                                                   \
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

        if (kFirst)
        {
            numbers.arrive_stored();
        }
    }
}

template <bool kFirst, typename TActivation>
__device__ __forceinline__ void grouped_product(const GroupedParameters& p)
{
    extern __shared__ char unaligned[];
    char* shared = unaligned + (1024 - shared_address(unaligned) % 1024) % 1024;
    const u32 stages = shared_address(shared), barriers = stages + kBarrierBase;
    int* offsets = (int*)(shared + kOffsetsBase);
    const TileNumbers numbers = TileNumbers::at(shared + kNumbersBase);
    if (threadIdx.x == 0)
    {
        tma_prefetch_map(&p.weight);
        tma_prefetch_map(&p.tokens);
        for (int i = 0; i < kStages; i++)
        {
            mbarrier_init(barriers + i * 8, 1);
            mbarrier_init(barriers + (kStages + i) * 8, kGroups * 4);
        }

        numbers.init(kGroups * 4);
        mbarrier_fence_init();
    }

    prepare_tile_scheduler<TileTokens<TActivation>::kMost, kThreads, kMostExperts>(p.expert_offsets, p.experts, offsets);
    const Schedule schedule = {offsets, ceil_div(p.rows, kRows), 1, 0};
    if (threadIdx.x < 128)
    {
        registers_lower<kLoaderRegisters>();
        if (threadIdx.x == 0)
        {
            load_tiles<kFirst, TActivation>(p, schedule, numbers, stages);
        }
    }
    else
    {
        registers_raise<kGroupRegisters>();
        compute_tiles<kFirst, TActivation>(p, schedule, numbers, shared, stages);
    }
}
}

template <typename TActivation>
__global__ void __launch_bounds__(kThreads, 1) moe_bf16_prefill_product1(const __grid_constant__ GroupedParameters p)
{
    grouped_product<true, TActivation>(p);
}

template <typename TActivation>
__global__ void __launch_bounds__(kThreads, 1) moe_bf16_prefill_product2(const __grid_constant__ GroupedParameters p)
{
    grouped_product<false, TActivation>(p);
}
