// Both products of an MXFP4 mixture-of-experts layer for any number of tokens per expert, on sm_90a.
//
// A tile is kRows weight rows by up to kTokens tokens of one expert. The weights are the rows of the warpgroup's matrix instruction: each
// warpgroup reads 64 rows' codes from shared memory and widens them into the registers that the instruction takes as its first operand, one
// k-block of 64 inputs ahead of the one that is being multiplied. Tokens are its columns, in steps of 8 or 16, so that an expert's odd number
// of tokens costs little. A stage holds one or two k-blocks; one thread of each of four warps fills every fourth stage by TMA, weights
// and tokens alike: the first product reads rows that were brought into order before. One thread alone would bind: waiting for a stage and
// starting its copies takes it longer than few tokens take to multiply.
//
// Weights and offsets are older than the launch before, so the first stages' weights are fetched before waiting for it. The second product waits for
// no launch but for the experts that it comes to (TileBefore in tile_scheduler.cuh): its first tiles are multiplied while the first product's last
// ones are. The blocks are persistent: after its first tile a block draws the next one's number (TileNumbers in tile_scheduler.cuh).
#pragma once
#include "epilogue/store_tile.cuh"
#include "formats/mxfp4.cuh"
#include "ptx/wgmma.cuh"
#include "scheduler/tile_loader.cuh"

struct Mxfp4GroupedParameters
{
    TensorMap weight;            // 32-bit words {136, 4 · steps, bands, experts} (mxfp4.cuh), box {136, 4 · kSteps, kRows / 64, 1}
    TensorMap wide;              // BF16 {depth, pairs}: rows in sorted order, box {64, 64}, 128-byte swizzle
    TensorMap narrow;            // the same, box {64, 8}
    const float* bias;           // [experts, rows], or null
    const float* factor;         // [experts, rows], or null where all are 1
    u16* out;                    // first: BF16 [sorted pairs, out_stride]; second: BF16 [parts, pairs, out_stride], without router weight
    const int* expert_offsets;   // [experts + 1]
    const int* sorted_pairs;     // second only: [pairs], a pair is token · top_k + k
    ProductCounters counters;    // 0 before
    i64 out_stride;              // elements, a multiple of 8
    i64 part_stride;             // second only: elements
    int parts;                   // second only: of the inner dimension, each a tile of its own; at most as many as a tile has stages
    int rows;                    // first: 2 · intermediate, or intermediate without gates; second: hidden; a multiple of 16
    int depth;                   // inner dimension, a multiple of 32
    int experts;                 // at most kMostExperts
    Activation activation;
};

/// A lane's share of a step's 64 rows, as weights are stored.
struct PackedStep
{
    uint4 codes;
    u32 scales;
};

__device__ __forceinline__ PackedStep load_step(u32 group)
{
    const int lane = threadIdx.x % 32;
    return {load_shared(group + lane * 16), load_shared_word(group + kGroupCodeBytes + lane / 4 * 4)};
}

/// As matrix instructions take them. TDealing: how words hold their codes (mxfp4.cuh).
template <typename TDealing>
__device__ __forceinline__ void widen_step(u32 (&a)[4][4], const PackedStep& from)
{
    const u32 words[4] = {from.codes.x, from.codes.y, from.codes.z, from.codes.w};
    const u32 low = scale_factors(from.scales, 0), high = scale_factors(from.scales, 2);
    TDealing::widen(a[0], a[1], words[0], words[1], half_twice<0>(low), half_twice<0>(high));
    TDealing::widen(a[2], a[3], words[2], words[3], half_twice<1>(low), half_twice<1>(high));
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

/// A product with one tile, as the host's Mxfp4GroupedTile works it out for a multiprocessor.
/// kBlocks: of threads, per multiprocessor. kSteps: k-blocks per stage. kGroupRegisters: of a thread that multiplies. kHostSharedBytes: dynamic shared
/// memory, which the host asks for. TRounding: of the first product's results (store_tile.cuh). TActivation: activation.cuh. TDealing: mxfp4.cuh.
template <int kTokens, int kRows, int kBlocks, int kSteps, int kStages, int kGroupRegisters, int kHostSharedBytes, typename TRounding,
          typename TActivation = Activation, int kMostExperts = 512, typename TDealing = DealtForBf16>
struct Mxfp4Grouped
{
    static constexpr int kNeuronRows = TActivation::kNeuronRows;
    static constexpr int kGroups = kRows / 64, kLoaders = 4, kThreads = 128 * (kGroups + 1), kLoaderRegisters = 40;
    static constexpr int kStepBytes = kTokens * kGroupDepth * 2, kTokenBytes = kSteps * kStepBytes;
    static constexpr int kWeightBytes = kSteps * (kRows / kGroupRows) * kGroupBytes;
    static constexpr int kOutBytes = 4096;                                // a warpgroup's results in the epilogue
    static constexpr int kWeightBase = kStages * kTokenBytes, kOutBase = kWeightBase + kStages * kWeightBytes;
    static constexpr int kOffsetsBase = kOutBase + kGroups * kOutBytes, kPairsBase = kOffsetsBase + schedule_bytes(kMostExperts);
    static constexpr int kBarrierBase = kPairsBase + kGroups * kTokens * 4, kNumbersBase = kBarrierBase + 2 * kStages * 8;
    static constexpr int kSharedBytes = kNumbersBase + kNumberBytes + 1024;  // 1024: to align the stages
    static constexpr bool kReadOnce = kTokens <= 80;                      // few experts have two tiles of tokens then, and L2 is kept for the rest
    static constexpr int kRoundingBytes = TRounding::shared_bytes(kGroups, kOutBytes / 64);
    static_assert(kSharedBytes == kHostSharedBytes && kSharedBytes <= 232448, "what the host asks for, and what a block may have");
    static_assert((kSharedBytes + kRoundingBytes + 1024) * kBlocks <= 233472, "a multiprocessor has room for the blocks");
    static_assert(kTokens % TokenBoxes::kWide <= TokenBoxes::kMostNarrow * TokenBoxes::kNarrow && kTokens % 16 == 0 && kTokens <= 256 && kRows % 64 == 0, "whole copies and matrix instructions");
    static_assert(kSteps <= 2 && kStages >= kLoaders && kStages + kLoaders < kNumberSlots, "a loader is never further ahead of the readers than all stages");
    static_assert(kLoaderRegisters + kGroups * kGroupRegisters <= 65536 / kBlocks / kThreads / 8 * 8 * (kGroups + 1),
                  "a launch takes even shares of the registers; raising to more than is given back would wait for ever");

    using Ring = StageRing<kStages>;
    using Schedule = TileScheduler<kRows, kMostExperts>;

    /// The stages of a tile, and how many k-blocks they hold.
    struct Stages
    {
        int first, count, steps;

        template <bool kFirst>
        static __device__ __forceinline__ Stages of(const Mxfp4GroupedParameters& p, const Tile& tile)
        {
            const int steps = ceil_div(p.depth, kGroupDepth), all = ceil_div(steps, kSteps);
            if constexpr (kFirst)
            {
                return {0, all, steps};
            }

            // As even as they can be: no part is empty where there are no more parts than stages.
            const int first = all * tile.part / p.parts, count = all * (tile.part + 1) / p.parts - first;
            return {first, count, min(count * kSteps, steps - first * kSteps)};
        }
    };

    /// What load_tiles copies.
    template <bool kFirst>
    struct Copies
    {
        [[maybe_unused]] u64 policy = policy_evict_first();
        TokenBoxes boxes;
        int first, stages, bytes;

        __device__ __forceinline__ void begin(const Mxfp4GroupedParameters& p, const Schedule&, const Tile& tile)
        {
            const Stages own = Stages::template of<kFirst>(p, tile);
            first = own.first;
            stages = own.count;
            boxes = TokenBoxes::of<kTokens>(tile.count);
            bytes = kWeightBytes + kSteps * boxes.tokens() * kGroupDepth * 2;
        }

        __device__ __forceinline__ void weights(const Mxfp4GroupedParameters& p, const Tile& tile, u32 shared, u32 full, int place, int stage) const
        {
            const u32 to = shared + kWeightBase + place * kWeightBytes;
            const int groups = (first + stage) * kSteps * kBandGroups, band = tile.row0 / kBandRows;
            if constexpr (kReadOnce)
            {
                tma_load_4d(to, &p.weight, full, 0, groups, band, tile.expert, policy);
            }
            else
            {
                tma_load_4d(to, &p.weight, full, 0, groups, band, tile.expert);
            }
        }

        __device__ __forceinline__ void tokens(const Mxfp4GroupedParameters& p, const Tile& tile, u32 shared, u32 full, int place, int stage) const
        {
#pragma unroll
            for (int step = 0; step < kSteps; step++)
            {
                const int depth = ((first + stage) * kSteps + step) * kGroupDepth;
                boxes.load(p, shared + place * kTokenBytes + step * kStepBytes, full, depth, tile.first, kGroupDepth * 2);
            }
        }
    };

    template <int kColumns>
    static __device__ __forceinline__ void accumulate(float* d, Ring& ring, u32 shared, int stages, Probe& probe)
    {
        const u32 barriers = shared + kBarrierBase, warp = threadIdx.x / 32;
        const u32 groups = shared + kWeightBase + (warp / kBandGroups * kSteps * kBandGroups + warp % kBandGroups) * kGroupBytes;
        const int steps = stages * kSteps;
        u32 even[4][4], odd[4][4];
        auto widen = [&](u32(&a)[4][4], int step) {
            if (step == 0)
            {
                probe.from();
                mbarrier_wait(barriers + ring.stage * 8, ring.phase);
                probe.add(0);
                probe.mark(0);
            }

            widen_step<TDealing>(a, load_step(groups + ring.stage * kWeightBytes + step * kBandGroups * kGroupBytes));
        };
        auto multiply = [&](const u32(&a)[4][4], int step) {
            multiply_step<kColumns>(d, a, wgmma_descriptor(shared + ring.stage * kTokenBytes + step * kStepBytes));
            if (step == kSteps - 1)
            {
                ring.advance(1);
            }
        };
        auto release = [&](int stage) {
            if (threadIdx.x % 32 == 0)
            {
                mbarrier_arrive(barriers + (kStages + stage) * 8);
            }
        };
        widen(even, 0);
        int step = 0;
#pragma unroll 1
        for (; step + 1 < steps; step += 2)
        {
            const int first = ring.stage;
            multiply(even, 0);
            const int second = ring.stage;
            widen(odd, kSteps - 1);
            multiply(odd, kSteps - 1);
            wgmma_wait<1>();
            if (kSteps == 1)
            {
                release(first);
            }

            if (step + 2 < steps)
            {
                widen(even, 0);
            }

            // None may be under way at the end of a round, or the compiler finds no registers for all the widths.
            wgmma_wait<0>();
            release(second);
        }

        if (kSteps == 1 && step < steps)
        {
            const int last = ring.stage;
            multiply(even, 0);
            wgmma_wait<0>();
            release(last);
        }
    }

    /// The same for large tiles of few columns, whose stages are two k-blocks. There a warp's chain of instructions takes longer than its products, so a round
    /// of two k-blocks has one wait and few addresses, and asks for the next round's codes before it widens the second k-block's.
    template <int kColumns>
    static __device__ __forceinline__ void accumulate_pairs(float* d, Ring& ring, u32 shared, int steps, Probe& probe)
    {
        const u32 barriers = shared + kBarrierBase, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        const u32 groups = shared + kWeightBase + (warp / kBandGroups * kSteps * kBandGroups + warp % kBandGroups) * kGroupBytes;
        const u32 codes = groups + lane * 16, scales = groups + kGroupCodeBytes + lane / 4 * 4;
        const u64 columns = wgmma_descriptor(shared);
        u32 even[4][4], odd[4][4];
        PackedStep packed;
        auto load = [&](u32 place) { return PackedStep{load_shared(codes + place), load_shared_word(scales + place)}; };
        auto fetch = [&]() {
            probe.from();
            mbarrier_wait(barriers + ring.stage * 8, ring.phase);
            probe.add(0);
            probe.mark(0);
            packed = load(ring.stage * kWeightBytes);
        };
        auto columns_of = [&](int stage) { return (columns & ~(u64)~0u) | ((u32)columns + (u32)stage * (kTokenBytes / 16)); };
        auto release = [&](u32 empty) {
            if (threadIdx.x % 32 == 0)
            {
                mbarrier_arrive(empty);
            }
        };
        fetch();
        widen_step<TDealing>(even, packed);
        int left = steps;
#pragma unroll 1
        for (; left > 1; left -= 2)
        {
            const u64 first = columns_of(ring.stage);
            const u32 empty = barriers + (kStages + ring.stage) * 8, second = ring.stage * kWeightBytes + kBandGroups * kGroupBytes;
            multiply_step<kColumns>(d, even, first);
            ring.advance();
            if (left > 2)
            {
                fetch();
            }

            // Read behind the wait: else the compiler widens them between the instructions of the first k-block, which then come late.
            widen_step<TDealing>(odd, load(second));
            multiply_step<kColumns>(d, odd, first + kStepBytes / 16);
            wgmma_wait<1>();
            if (left > 2)
            {
                widen_step<TDealing>(even, packed);
            }

            // None may be under way at the end of a round, as in accumulate.
            wgmma_wait<0>();
            release(empty);
        }

        if (left > 0)
        {
            const u32 empty = barriers + (kStages + ring.stage) * 8;
            multiply_step<kColumns>(d, even, columns_of(ring.stage));
            ring.advance();
            wgmma_wait<0>();
            release(empty);
        }
    }

    /// Waits for a tile's stages, and leaves them as they are.
    static __device__ __forceinline__ void let_by(Ring& ring, u32 shared, int stages)
    {
        const u32 barriers = shared + kBarrierBase;
#pragma unroll 1
        for (int i = 0; i < stages; i++)
        {
            const u32 full = barriers + ring.stage * 8;
            mbarrier_wait(full, ring.phase);
            __syncwarp();
            if (threadIdx.x % 32 == 0)
            {
                mbarrier_arrive(full + kStages * 8);
            }

            ring.advance(1);
        }
    }

    template <bool kFirst, int kColumns>
    static __device__ __forceinline__ void compute_tile(const Mxfp4GroupedParameters& p, const Tile& tile, float* d, Ring& ring, char* shared, int group,
                                                 const Stages& stages, Probe& probe)
    {
        int* pairs = (int*)(shared + kPairsBase) + group * kTokens;
        const float2 bias = fetch_for_store<kFirst, TActivation::kNeuronRows>(tile, group, p.bias, p.rows, p.sorted_pairs, pairs);
        if constexpr (kSteps == 2 && kRows >= 192)
        {
            accumulate_pairs<kColumns>(d, ring, shared_address(shared), stages.steps, probe);
        }
        else
        {
            accumulate<kColumns>(d, ring, shared_address(shared), stages.count, probe);
        }

        probe.from();
        char* staged = shared + kOutBase + group * kOutBytes;
        if constexpr (!kFirst)
        {
            store_pairs<kColumns, kOutBytes>(tile, d, staged, group, bias, p.factor, p.rows, pairs, p.out + tile.part * p.part_stride, p.out_stride);
        }
        else if constexpr (TActivation::kNeuronRows == 1)
        {
            store_act_rows<kColumns, kOutBytes>(TActivation{p.activation}, tile, d, staged, group, bias, p.factor, p.rows, p.out, p.out_stride,
                                                TRounding::template of<kGroups, kOutBytes / 64>(group));
        }
        else
        {
            store_act<kColumns, kOutBytes>(TActivation{p.activation}, tile, d, staged, group, bias, p.factor, p.rows / 2, p.out, p.out_stride,
                                           TRounding::template of<kGroups, kOutBytes / 64>(group));
        }

        probe.add(1);
    }

    template <bool kFirst>
    static __device__ __forceinline__ Probe compute_tiles(const Mxfp4GroupedParameters& p, Schedule schedule, TileNumbers numbers, char* shared)
    {
        const int group = threadIdx.x / 128;
        Ring ring = {0, 0};
        Tile tile;
        Probe probe;  // mark: first stage full; sums: waits for full stages, ways out
        probe.begin();
        constexpr int kUnit = kTokens <= 128 ? 8 : 16;
        for (int number = blockIdx.x; schedule.find(tile, number, p.experts); number = numbers.take())
        {
            const Stages stages = Stages::template of<kFirst>(p, tile);
            // One array for all widths, zeroed here: with one each, the compiler finds no registers for them.
            float d[kTokens / 2];
#pragma unroll
            for (int i = 0; i < kTokens / 2; i++)
            {
                d[i] = 0;
            }

            // A warpgroup whose rows are all beyond the matrix's leaves the tensor cores to the others.
            // What the compiler knows to be the same in all lanes leaves the ring's addresses so.
            const bool has_rows = kGroups == 1 || __reduce_max_sync(~0u, (u32)(tile.row0 + group * kBandRows < p.rows)) != 0;
            if (!has_rows)
            {
                let_by(ring, shared_address(shared), stages.count);
            }

            switch (has_rows ? ceil_div(tile.count, kUnit) : 0)
            {
#define MOE_COLUMNS(n)                                                               \
        case n:                                                                          \
            if constexpr (n * kUnit <= kTokens)                                          \
            {                                                                            \
                compute_tile<kFirst, n * kUnit>(p, tile, d, ring, shared, group, stages, probe); \
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

            if (kFirst)
            {
                numbers.arrive_stored();
            }

            probe.tile();
        }

        return probe;
    }

    template <bool kFirst>
    static __device__ __forceinline__ void run(const Mxfp4GroupedParameters& p)
    {
        extern __shared__ char unaligned[];
        char* shared = unaligned + (1024 - shared_address(unaligned) % 1024) % 1024;
        const u32 base = shared_address(shared), barriers = base + kBarrierBase;
        int* offsets = (int*)(shared + kOffsetsBase);
        const TileNumbers numbers = TileNumbers::at(shared + kNumbersBase);
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

            numbers.init(kGroups * 4);
            mbarrier_fence_init();
        }

        prepare_tile_scheduler<kTokens, kThreads, kMostExperts>(p.expert_offsets, p.experts, offsets);
        const Schedule schedule = {offsets, ceil_div(p.rows, kRows), kFirst ? 1 : p.parts, 0};
        if (threadIdx.x >= kGroups * 128)
        {
            registers_lower<kLoaderRegisters>();
            if (threadIdx.x % 32 == 0)
            {
                const int loader = threadIdx.x / 32 % 4;
                load_tiles<Mxfp4Grouped, kFirst>(p, schedule, numbers, base, loader).leave(kFirst ? 1 : 2, kGroups + loader);
            }
        }
        else
        {
            registers_raise<kGroupRegisters>();
            const Probe probe = compute_tiles<kFirst>(p, schedule, numbers, shared);
            if (threadIdx.x % 128 == 0)
            {
                probe.leave(kFirst ? 1 : 2, threadIdx.x / 128);
            }
        }
    }
};

template <int kTokens, int kRows, int kBlocks, int kSteps, int kStages, int kGroupRegisters, int kSharedBytes, typename TRounding,
          typename TActivation = Activation, int kMostExperts = 512, typename TDealing = DealtForBf16>
__global__ void __launch_bounds__(128 * (kRows / 64 + 1), kBlocks) moe_mxfp4_product1(const __grid_constant__ Mxfp4GroupedParameters p)
{
    Mxfp4Grouped<kTokens, kRows, kBlocks, kSteps, kStages, kGroupRegisters, kSharedBytes, TRounding, TActivation, kMostExperts, TDealing>::template run<true>(p);
}

template <int kTokens, int kRows, int kBlocks, int kSteps, int kStages, int kGroupRegisters, int kSharedBytes, typename TRounding,
          typename TActivation = Activation, int kMostExperts = 512, typename TDealing = DealtForBf16>
__global__ void __launch_bounds__(128 * (kRows / 64 + 1), kBlocks) moe_mxfp4_product2(const __grid_constant__ Mxfp4GroupedParameters p)
{
    Mxfp4Grouped<kTokens, kRows, kBlocks, kSteps, kStages, kGroupRegisters, kSharedBytes, TRounding, TActivation, kMostExperts, TDealing>::template run<false>(p);
}
