// Both products of an MXFP4 mixture-of-experts layer on FP8 tensor cores, for many tokens per expert, on sm_90a.
//
// As in mxfp4_grouped.cuh weights are the rows of the warpgroup's matrix instruction and tokens its columns. Codes become E4M3 in registers
// (mxfp4_e4m3.cuh); tokens are E4M3, with one scale each in the first product and one for each 128 inputs in the second. A stage holds 128 inputs: each warpgroup multiplies its bands of 64 rows one after
// the other. What comes of 128 inputs is added to float32 sums, in the second product times the token's scale, since the instruction's own
// sums keep about 14 bits. While one warpgroup widens or adds, the other multiplies.
//
// Bands of a warpgroup that have a row whose scales span more than E4M3 holds are multiplied 32 inputs at a time, whose factors are applied as they are
// added: slower, and exact for any scales.
#include "epilogue/store_e4m3.cuh"
#include "formats/mxfp4_e4m3.cuh"
#include "ptx/wgmma.cuh"
#include "scheduler/tile_loader.cuh"

struct Mxfp4Fp8Parameters
{
    TensorMap weight;           // as in mxfp4_grouped.cuh, box {136, 8, 4, 1}
    TensorMap wide;             // E4M3 {depth, pairs}: rows in sorted order, blocks of 32 in the order of e4m3_place, box {128, 64}, 128-byte swizzle
    TensorMap narrow;           // the same, box {128, 8}
    const float* bias;          // [experts, rows], or null
    const float* row_scales;    // first only: [sorted pairs]
    const u8* scales;           // second only: [chunks, scale_stride]: of each 128 inputs, an expert's rows from scale_place on (e4m3_scale)
    const float* factor;        // [experts, rows]: what a row's sum is multiplied by
    const u8* largest;          // [experts, rows]: the row's largest scale byte
    const u8* is_split;         // [experts, bands]: 1 where a row's scales span more than 2^kE4m3Span
    void* out;                  // first: E4M3 [sorted pairs, out_stride], as `wide`; second: BF16 [pairs, out_stride], without router weight
    u8* out_scales;             // first only: what the second has as `scales`
    const int* expert_offsets;  // [experts + 1]
    const int* sorted_pairs;    // second only: [pairs], a pair is token · top_k + k
    ProductCounters counters;   // 0 before
    i64 out_stride;             // elements, a multiple of 16
    i64 scale_stride;           // a multiple of kScaleTokens
    int rows;                   // first: 2 · intermediate; second: hidden; a multiple of 16
    int depth;                  // inner dimension, a multiple of 32
    int experts;                // at most kMostExperts
    Activation activation;
};

/// A product with one tile, as the host's Fp8Tile works it out.
template <int kTokens, int kGroups, int kStages, int kGroupRegisters, int kLoaderRegisters, int kHostSharedBytes>
struct Mxfp4Fp8
{
    static constexpr int kRows = 256, kMostExperts = 512, kNeuronRows = 2;
    static constexpr int kBands = 4 / kGroups, kLoaders = 4, kThreads = 128 * (kGroups + 1);
    static constexpr int kChunk = 128, kSteps = kChunk / kGroupDepth;
    static constexpr int kTokenBytes = kTokens * kChunk, kWeightBytes = kSteps * (kRows / kGroupRows) * kGroupBytes, kScaleBytes = kTokens;
    static constexpr int kOutBytes = 5120, kPairsOutBytes = 4096;  // a warpgroup's results in the epilogue, of the first product and the second
    using Store = StoreE4m3<kGroups, kBands>;
    static constexpr int kWeightBase = kStages * kTokenBytes, kScaleBase = kWeightBase + kStages * kWeightBytes;
    static constexpr int kOutBase = kScaleBase + kStages * kScaleBytes, kLargestBase = kOutBase + kGroups * kOutBytes;
    static constexpr int kOffsetsBase = kLargestBase + Store::kLargestBytes, kPairsBase = kOffsetsBase + schedule_bytes(kMostExperts);
    static constexpr int kBarrierBase = kPairsBase + kGroups * kTokens * 4, kNumbersBase = kBarrierBase + 2 * kStages * 8;
    static constexpr int kSharedBytes = kNumbersBase + kNumberBytes + 1024;  // 1024: to align the stages
    static_assert(kSharedBytes == kHostSharedBytes && kSharedBytes <= 232448, "what the host asks for, and what a block may have");
    static_assert(Store::kStagedBytes <= kOutBytes && kStages >= kLoaders && kStages + kLoaders < kNumberSlots, "room");
    static_assert(kLoaderRegisters + kGroups * kGroupRegisters <= 65536 / kThreads / 8 * 8 * (kGroups + 1), "registers that there are");

    using Ring = StageRing<kStages>;
    using Schedule = TileScheduler<kRows, kMostExperts>;

    /// Where the scales of a tile's tokens begin in a chunk's.
    static __device__ __forceinline__ int tile_scales(const Schedule& schedule, const Tile& tile)
    {
        const int first = schedule.offsets[tile.expert];
        return scale_place(first, tile.expert) + tile.first - first;
    }

    /// What load_tiles copies.
    template <bool kFirst>
    struct Copies
    {
        TokenBoxes boxes;
        const u8* scales;
        int scale_bytes, stages, bytes;

        __device__ __forceinline__ void begin(const Mxfp4Fp8Parameters& p, const Schedule& schedule, const Tile& tile)
        {
            stages = ceil_div(p.depth, kChunk);
            boxes = TokenBoxes::of<kTokens>(tile.count);
            scale_bytes = kFirst ? 0 : ceil_div(tile.count, kScaleTokens) * kScaleTokens;
            scales = p.scales + tile_scales(schedule, tile);
            bytes = kWeightBytes + scale_bytes + boxes.tokens() * kChunk;
        }

        __device__ __forceinline__ void weights(const Mxfp4Fp8Parameters& p, const Tile& tile, u32 shared, u32 full, int place, int stage) const
        {
            tma_load_4d(shared + kWeightBase + place * kWeightBytes, &p.weight, full, 0, stage * kSteps * kBandGroups, tile.row0 / kBandRows, tile.expert);
        }

        __device__ __forceinline__ void tokens(const Mxfp4Fp8Parameters& p, const Tile& tile, u32 shared, u32 full, int place, int stage) const
        {
            if (!kFirst)
            {
                bulk_load(shared + kScaleBase + place * kScaleBytes, scales + stage * p.scale_stride, scale_bytes, full);
            }

            boxes.load(p, shared + place * kTokenBytes, full, stage * kChunk, tile.first, kChunk);
        }
    };

    /// What a thread knows of its rows of a band, g and g + 8 of its warp's group.
    struct Rows
    {
        E4m3Table tables[2];

        template <bool kFirst>
        static __device__ __forceinline__ Rows of(const Mxfp4Fp8Parameters& p, const Tile& tile, int band)
        {
            Rows rows;
#pragma unroll
            for (int i = 0; i < 2; i++)
            {
                rows.tables[i] = E4m3Table::of(largest<kFirst>(p, tile, band, i));
            }

            return rows;
        }

        /// The largest scale byte of row g or, with i = 1, g + 8.
        template <bool kFirst>
        static __device__ __forceinline__ u32 largest(const Mxfp4Fp8Parameters& p, const Tile& tile, int band, int i)
        {
            const int thread = threadIdx.x % 128, g = thread % 32 / 4;
            const int row = tile.row0 + band * kBandRows + thread / 32 * kGroupRows + (kFirst ? 2 * g + i : g + 8 * i);
            return row < p.rows ? p.largest[(i64)tile.expert * p.rows + row] : 0;
        }
    };

    /// Whether a band of a warpgroup has rows that no table holds. Told to the compiler as the same for all lanes: what is computed behind its branch stays
    /// in uniform registers.
    static __device__ __forceinline__ bool is_split(const Mxfp4Fp8Parameters& p, const Tile& tile, int group)
    {
        const int bands = ceil_div(p.rows, kBandRows), first = tile.row0 / kBandRows + group * kBands;
        u32 splits = 0;
#pragma unroll
        for (int band = first; band < first + kBands; band++)
        {
            splits |= band < bands ? p.is_split[tile.expert * bands + band] : 0;
        }

        return __reduce_max_sync(~0u, splits) != 0;
    }

    /// A lane's share of 128 inputs of a band's rows, as weights are stored.
    struct Packed
    {
        uint4 codes[kSteps];
        u32 scales[kSteps];

        /// A warp's groups of both steps begin at `group`.
        __device__ __forceinline__ void load(u32 group)
        {
            const u32 lane = threadIdx.x % 32;
#pragma unroll
            for (int step = 0; step < kSteps; step++)
            {
                const u32 from = group + step * kBandGroups * kGroupBytes;
                codes[step] = load_shared(from + lane * 16);
                scales[step] = load_shared_word(from + kGroupCodeBytes + lane / 4 * 4);
            }
        }

        /// As the matrix instruction takes them.
        __device__ __forceinline__ void widen(u32 (&a)[4][4], const Rows& rows) const
        {
#pragma unroll
            for (int step = 0; step < kSteps; step++)
            {
                widen_e4m3(a[2 * step][0], a[2 * step][2], codes[step].x, rows.tables[0].block(scales[step], 0));
                widen_e4m3(a[2 * step][1], a[2 * step][3], codes[step].y, rows.tables[1].block(scales[step], 2));
                widen_e4m3(a[2 * step + 1][0], a[2 * step + 1][2], codes[step].z, rows.tables[0].block(scales[step], 1));
                widen_e4m3(a[2 * step + 1][1], a[2 * step + 1][3], codes[step].w, rows.tables[1].block(scales[step], 3));
            }
        }
    };

    /// sums += part · each row's factor · each token's scale, of which `scales` are a stage's bytes; the first product's tokens have one for all inputs.
    template <bool kFirst, int kColumns, bool kScalesRows>
    static __device__ __forceinline__ void add_part(float* sums, const float (&part)[kColumns / 2], u32 scales, float low = 1, float high = 1)
    {
        static_assert(kColumns % kScaleTokens == 0, "whole words");
#pragma unroll
        for (int i = 0; i < kColumns / 2; i += 8)
        {
            [[maybe_unused]] u32 word;
            if constexpr (!kFirst)
            {
                word = load_shared_word(scales + i / 8 * kScaleTokens + threadIdx.x % 4 * 4);
            }

#pragma unroll
            for (int j = 0; j < 8; j++)
            {
                const float scaled = kScalesRows ? part[i + j] * (j % 4 < 2 ? low : high) : part[i + j];
                if constexpr (kFirst)
                {
                    sums[i + j] += scaled;
                }
                else
                {
                    sums[i + j] += scaled * e4m3_scale(word, j / 4 * 2 + j % 2);
                }
            }
        }
    }

    /// One stage of a band: each 32 inputs by themselves, with the table of the row's largest scale.
    template <bool kFirst, int kColumns>
    static __device__ __forceinline__ void multiply_split(const Mxfp4Fp8Parameters& p, const Tile& tile, int band, float* sums, u32 group, u64 tokens,
                                                          u32 scales)
    {
        constexpr E4m3Table kTable = {kE4m3Low, kE4m3High};
#pragma unroll 1
        for (int k = 0; k < 4; k++)
        {
            const u32 from = group + k / 2 * kBandGroups * kGroupBytes, lane = threadIdx.x % 32;
            const u32 bytes = load_shared_word(from + kGroupCodeBytes + lane / 4 * 4);
            u32 a[4];
            float factors[2];
#pragma unroll
            for (int row = 0; row < 2; row++)
            {
                widen_e4m3(a[row], a[row + 2], load_shared_word(from + lane * 16 + k % 2 * 8 + row * 4), kTable);
                factors[row] = power_of_two(min((int)(bytes >> (row * 16 + k % 2 * 8) & 255) - (int)Rows::template largest<kFirst>(p, tile, band, row), 0));
            }

            float part[kColumns / 2];
            wgmma_fence();
            wgmma_e4m3<kColumns, false>(part, a, tokens + 2 * k);
            wgmma_commit();
            wgmma_wait<0>();
            add_part<kFirst, kColumns, true>(sums, part, scales, factors[0], factors[1]);
        }
    }

    /// Where a warp's groups of a band lie in a stage.
    static __device__ __forceinline__ u32 groups_of(u32 base, int stage, int band)
    {
        return base + kWeightBase + stage * kWeightBytes + (band * kSteps * kBandGroups + threadIdx.x % 128 / 32) * kGroupBytes;
    }

    static __device__ __forceinline__ void wait_full(u32 base, const Ring& ring, Probe& probe)
    {
        probe.from();
        mbarrier_wait(base + kBarrierBase + ring.stage * 8, ring.phase);
        probe.add(0);
        probe.mark(0);
    }

    /// A warp has read all that it needs of a stage.
    static __device__ __forceinline__ void release(u32 base, const Ring& ring)
    {
        __syncwarp();
        if (threadIdx.x % 32 == 0)
        {
            mbarrier_arrive(base + kBarrierBase + (kStages + ring.stage) * 8);
        }
    }

    template <bool kFirst, int kColumns>
    static __device__ __forceinline__ void accumulate_split(const Mxfp4Fp8Parameters& p, const Tile& tile, float (&d)[kBands][kTokens / 2], Ring& ring,
                                                            u32 base, int group, Probe& probe)
    {
#pragma unroll 1
        for (int stage = ceil_div(p.depth, kChunk); stage > 0; stage--)
        {
            const u64 tokens = wgmma_descriptor(base + ring.stage * kTokenBytes);
            wait_full(base, ring, probe);
            const u32 scales = base + kScaleBase + ring.stage * kScaleBytes;
#pragma unroll
            for (int band = 0; band < kBands; band++)
            {
                const int own = group * kBands + band;
                multiply_split<kFirst, kColumns>(p, tile, own, d[band], groups_of(base, ring.stage, own), tokens, scales);
            }

            release(base, ring);
            ring.advance();
        }
    }

    /// While a band is multiplied, the warpgroup waits for what the next needs; behind it, it asks for the next band's codes, adds, and widens them.
    template <bool kFirst, int kColumns>
    static __device__ __forceinline__ void accumulate(const Mxfp4Fp8Parameters& p, const Tile& tile, float (&d)[kBands][kTokens / 2], Ring& ring, u32 base,
                                                      int group, Probe& probe)
    {
        Rows rows[kBands];
#pragma unroll
        for (int band = 0; band < kBands; band++)
        {
            rows[band] = Rows::template of<kFirst>(p, tile, group * kBands + band);
        }

        Packed packed;
        u32 a[4][4];
        wait_full(base, ring, probe);
        packed.load(groups_of(base, ring.stage, group * kBands));
        packed.widen(a, rows[0]);
#pragma unroll 1
        for (int stage = ceil_div(p.depth, kChunk); stage > 0; stage--)
        {
            const u64 tokens = wgmma_descriptor(base + ring.stage * kTokenBytes);
#pragma unroll
            for (int band = 0; band < kBands; band++)
            {
                float part[kColumns / 2];
                wgmma_fence();
                wgmma_e4m3<kColumns, false>(part, a[0], tokens);
                wgmma_e4m3<kColumns, true>(part, a[1], tokens + 2);
                wgmma_e4m3<kColumns, true>(part, a[2], tokens + 4);
                wgmma_e4m3<kColumns, true>(part, a[3], tokens + 6);
                wgmma_commit();

                const bool is_last = band == kBands - 1;
                Ring next = ring;
                if (is_last)
                {
                    next.advance();
                    if (stage > 1)
                    {
                        wait_full(base, next, probe);
                    }
                }

                probe.from();
                wgmma_wait<0>();
                probe.add(2);
                packed.load(groups_of(base, next.stage, group * kBands + (is_last ? 0 : band + 1)));
                add_part<kFirst, kColumns, false>(d[band], part, base + kScaleBase + ring.stage * kScaleBytes);
                packed.widen(a, rows[is_last ? 0 : band + 1]);
                if (is_last)
                {
                    release(base, ring);
                    ring = next;
                }
            }
        }
    }

    template <bool kFirst, int kColumns>
    static __device__ __forceinline__ void compute_tile(const Mxfp4Fp8Parameters& p, const Schedule& schedule, const Tile& tile, float (&d)[kBands][kTokens / 2], Ring& ring,
                                                        char* shared, int group, u32& turn, Probe& probe)
    {
        const u32 base = shared_address(shared);
        int* pairs = (int*)(shared + kPairsBase) + group * kTokens;
        // What the epilogue needs of each token. The first product's are of the launch before, which only a first tile waits for.
        if (kFirst)
        {
            wait_for_previous_launch();
        }

        fetch_pairs(tile, kFirst ? (const int*)p.row_scales : p.sorted_pairs, pairs);

        if (is_split(p, tile, group))
        {
            accumulate_split<kFirst, kColumns>(p, tile, d, ring, base, group, probe);
        }
        else
        {
            accumulate<kFirst, kColumns>(p, tile, d, ring, base, group, probe);
        }

        probe.from();
        char* staged = shared + kOutBase + group * kOutBytes;
        if constexpr (kFirst)
        {
            Store::template store<kColumns>(p.activation, tile, d, staged, (uint4*)(shared + kLargestBase), turn, group, p.bias, p.factor, (const float*)pairs, p.rows / 2,
                                            (u8*)p.out, p.out_stride, p.out_scales + tile.row0 / kRows * p.scale_stride + tile_scales(schedule, tile));
        }
        else
        {
#pragma unroll
            for (int band = 0; band < kBands; band++)
            {
                const int own = group * kBands + band;
                store_pairs<kColumns, kPairsOutBytes>(tile, d[band], staged, own, pair_bias(tile, own, p.bias, p.rows), p.factor, p.rows, pairs, (u16*)p.out,
                                                 p.out_stride);
            }
        }

        probe.add(1);
    }

    template <bool kFirst>
    static __device__ __forceinline__ Probe compute_tiles(const Mxfp4Fp8Parameters& p, Schedule schedule, TileNumbers numbers, char* shared)
    {
        const int group = threadIdx.x / 128;
        Ring ring = {0, 0};
        Tile tile;
        u32 turn = 0;
        Probe probe;  // mark: first stage full; sums: waits for full stages, ways out, waits for matrix instructions
        probe.begin();
        for (int number = blockIdx.x; schedule.find(tile, number, p.experts); number = numbers.take())
        {
            float d[kBands][kTokens / 2];
#pragma unroll
            for (int i = 0; i < kBands * kTokens / 2; i++)
            {
                d[i / (kTokens / 2)][i % (kTokens / 2)] = 0;
            }

            switch (ceil_div(tile.count, 16))
            {
#define MOE_COLUMNS(n)                                                                   \
        case n:                                                                          \
            if constexpr (n * 16 <= kTokens)                                             \
            {                                                                            \
                compute_tile<kFirst, n * 16>(p, schedule, tile, d, ring, shared, group, turn, probe); \
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
    static __device__ __forceinline__ void run(const Mxfp4Fp8Parameters& p)
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
        const Schedule schedule = {offsets, ceil_div(p.rows, kRows), 1, 0};
        if (threadIdx.x >= kGroups * 128)
        {
            registers_lower<kLoaderRegisters>();
            if (threadIdx.x % 32 == 0)
            {
                const int loader = threadIdx.x / 32 % 4;
                load_tiles<Mxfp4Fp8, kFirst>(p, schedule, numbers, base, loader).leave(kFirst ? 1 : 2, kGroups + loader);
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

template <int kTokens, int kGroups, int kStages, int kGroupRegisters, int kLoaderRegisters, int kSharedBytes>
__global__ void __launch_bounds__(128 * (kGroups + 1), 1) moe_mxfp4_fp8_product1(const __grid_constant__ Mxfp4Fp8Parameters p)
{
    Mxfp4Fp8<kTokens, kGroups, kStages, kGroupRegisters, kLoaderRegisters, kSharedBytes>::template run<true>(p);
}

template <int kTokens, int kGroups, int kStages, int kGroupRegisters, int kLoaderRegisters, int kSharedBytes>
__global__ void __launch_bounds__(128 * (kGroups + 1), 1) moe_mxfp4_fp8_product2(const __grid_constant__ Mxfp4Fp8Parameters p)
{
    Mxfp4Fp8<kTokens, kGroups, kStages, kGroupRegisters, kLoaderRegisters, kSharedBytes>::template run<false>(p);
}
