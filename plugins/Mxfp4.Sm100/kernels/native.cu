// Both products of a mixture-of-experts layer with MXFP4 weights and MXFP8 activations, on the block-scaled matrix instruction of sm_100a
// and sm_103a. Never run on hardware: it is compiled, and its layouts are tested against a model of what the PTX ISA says.
//
// The weights are the instruction's A (128 rows, E2M1) and the tokens its B (columns in steps of 16, E4M3), so that an expert's odd number
// of tokens costs little and few tokens cost few columns; with tokens as rows, every expert would pay for 128. The accumulators in tensor
// memory then have a weight row a lane and a token a column. The first product's tile is two accumulators, 128 gates and the ups of the same
// neurons (native_layout.cuh parts them): a thread has both of its neuron, a warp's 32 lanes are one MXFP8 block of the second product's
// inner dimension, and its scale is one warp-wide maximum. The second product's tile is 128 rows.
//
// Blocks of 256 threads, one per multiprocessor, persistent: each takes every gridDim.x-th tile. Warp 0 fills a ring of stages of 128 inputs: the
// TMA unpacks the weights' codes to 16 bytes for each 16 and gathers the first product's token rows, four a copy. Warp 1 allocates
// the tensor memory; one of its threads copies scales there and issues the products. Warp 2 brings the tokens' scales into the tile that the
// scale copies read. Warps 4 to 7 empty one set of accumulators while the next tile fills the other.
#include "epilogue/activation.cuh"
#include "scheduler/stage_ring.cuh"
#include "scheduler/tile_scheduler.cuh"
#include "ptx/mbarrier.cuh"
#include "formats/mxfp8.cuh"
#include "native_layout.cuh"
#include "tcgen05.cuh"
#include "ptx/tma.cuh"

struct NativeParameters
{
    TensorMap weight;           // 4-bit {padded depth, padded rows, experts}, box {128, 128 · kHalves, 1}
    TensorMap x;                // bytes {padded depth, rows}: first product tokens, box {128, 1}; second sorted pairs, box {128, 16}
    const u8* weight_scales;    // [experts, padded rows / (128 · kHalves), padded depth / 128, kHalves, 512]: tiles of scales
    const u8* x_scales;         // [rows, padded depth / 32]
    const float* bias;          // first only: [experts, rows], gates and ups interleaved, or null
    u8* codes;                  // first only: E4M3 [sorted pairs, out_stride]
    u8* scales;                 // first only: E8M0 [sorted pairs, out_stride / 32]
    u16* out;                   // second only: BF16 [pairs, out_stride], without bias and router weight
    const int* expert_offsets;  // [experts + 1]
    const int* sorted_pairs;    // [pairs], a pair is token · top_k + k
    i64 out_stride;             // elements, even
    int rows;                   // first: 2 · intermediate; second: hidden
    int depth;                  // inner dimension
    int padded_rows;            // a multiple of 128 · kHalves
    int padded_depth;           // a multiple of 256
    int top_k;
    int experts;                // at most 1024
    Activation activation;
    int reserved[4];            // fills the struct's alignment, so that its size tells a missing field
};

static_assert(sizeof(NativeParameters) == 384, "the host's NativeParameters");

/// Both products with tiles of kTokens; stages and dynamic shared memory of the first and of the second.
template <int kTokens, int kStages1, int kStages2, int kShared1, int kShared2>
struct NativeProduct
{
    static constexpr int kThreads = 256, kColumnStep = 16, kMostExperts = 1024;
    static constexpr int kScaleWords = (kTokens + 31) / 32;  // tokens of a lane of the scale warp
    static constexpr int kMaxShared = 232448;
    static_assert(kTokens % kColumnStep == 0 && kTokens <= 128, "one tile of the tokens' scales, and four accumulators in tensor memory");

    /// What a product's tile takes of shared and tensor memory.
    template <bool kFirst>
    struct Plan
    {
        static constexpr int kHalves = kFirst ? 2 : 1, kRows = kMmaRows * kHalves, kStages = kFirst ? kStages1 : kStages2;
        static constexpr int kWeightBytes = kRows * kStepDepth, kTokenBytes = kTokens * kStepDepth, kStageBytes = kWeightBytes + kTokenBytes;
        static constexpr int kScaleBytes = (kHalves + 1) * kScaleTileBytes;
        static constexpr int kScaleBase = kStages * kStageBytes, kScheduleBase = kScaleBase + kStages * kScaleBytes;
        static constexpr int kBarrierBase = kScheduleBase + schedule_bytes(kMostExperts);
        static constexpr int kSharedBytes = kBarrierBase + (2 * kStages + 4) * 8 + 16 + 1024;  // 1024: to align the stages
        static_assert(kSharedBytes == (kFirst ? kShared1 : kShared2) && kSharedBytes <= kMaxShared, "what the host asks for");
        static_assert(kStageBytes % 1024 == 0, "swizzled tiles begin at multiples of 1024");

        /// Columns of tensor memory: two sets of accumulators, then each stage's scales, the weights' before the tokens'. A stage has columns of
        /// its own because nothing orders a scale copy after the products that still read what it overwrites (PTX ISA, "Pipelined tcgen05
        /// instructions"), but for the barrier that also frees the stage.
        static constexpr int kScaleColumn = 2 * kHalves * kTokens, kStageColumns = 4 * (kHalves + 1);
        static constexpr int kUsedColumns = kScaleColumn + kStages * kStageColumns;
        static constexpr int kColumns = kUsedColumns <= 128 ? 128 : kUsedColumns <= 256 ? 256 : 512;
        static_assert(kUsedColumns <= 512, "what there is");

        __device__ __forceinline__ static constexpr u32 full(int stage) { return kBarrierBase + stage * 8; }
        __device__ __forceinline__ static constexpr u32 empty(int stage) { return kBarrierBase + (kStages + stage) * 8; }
        __device__ __forceinline__ static constexpr u32 filled(int set) { return kBarrierBase + (2 * kStages + set) * 8; }
        __device__ __forceinline__ static constexpr u32 emptied(int set) { return kBarrierBase + (2 * kStages + 2 + set) * 8; }
        static constexpr int kTensorBase = kBarrierBase + (2 * kStages + 4) * 8;

        __device__ __forceinline__ static constexpr int stage(int i) { return i * kStageBytes; }
        __device__ __forceinline__ static constexpr int scales(int i) { return kScaleBase + i * kScaleBytes; }
    };

    static __device__ __forceinline__ int columns_of(const Tile& tile)
    {
        return ceil_div(tile.count, kColumnStep) * kColumnStep;
    }

    /// Which row of x a tile's token is. Columns behind the last token repeat it; nobody reads them.
    template <bool kFirst>
    static __device__ __forceinline__ int x_row(const NativeParameters& p, const Tile& tile, int token)
    {
        const int sorted = tile.first + min(token, tile.count - 1);
        return kFirst ? p.sorted_pairs[sorted] / p.top_k : sorted;
    }

    /// Warp 0: weights, their scales, and tokens. Of the tokens each lane copies four gathered rows (first product) or 16 neighbours.
    template <bool kFirst>
    static __device__ __forceinline__ void load_tiles(const NativeParameters& p, TileScheduler<Plan<kFirst>::kRows, kMostExperts> schedule, u32 shared)
    {
        using P = Plan<kFirst>;
        constexpr int kBoxRows = kFirst ? 4 : kColumnStep;
        const int lane = threadIdx.x % 32, steps = ceil_div(p.depth, kStepDepth);
        const int layout_steps = p.padded_depth / kStepDepth, layout_stripes = p.padded_rows / P::kRows;
        StageRing<P::kStages> ring = {0, 1};
        Tile tile;
        for (int number = blockIdx.x; schedule.find(tile, number, p.experts); number += gridDim.x)
        {
            const int columns = columns_of(tile);
            int rows[4];
#pragma unroll
            for (int i = 0; i < 4; i++)
            {
                rows[i] = kFirst ? x_row<kFirst>(p, tile, lane * 4 + i) : 0;
            }

            const i64 stripe = (i64)tile.expert * layout_stripes + tile.row0 / P::kRows;
            const u8* scales = p.weight_scales + stripe * layout_steps * (P::kHalves * kScaleTileBytes);
            for (int step = 0; step < steps; step++)
            {
                const u32 full = shared + P::full(ring.stage), to = shared + P::stage(ring.stage);
                mbarrier_wait(shared + P::empty(ring.stage), ring.phase);
                if (lane == 0)
                {
                    // TMA counts the bytes that it reads: half a byte a code, though each takes one here.
                    constexpr int kWeightCount = P::kWeightBytes / 2 + P::kHalves * kScaleTileBytes;
                    mbarrier_arrive_expect(full, kWeightCount + columns * kStepDepth);
                    tma_load_3d(to, &p.weight, full, step * kStepDepth, tile.row0, tile.expert);
                    bulk_load(shared + P::scales(ring.stage), scales, P::kHalves * kScaleTileBytes, full);
                }

                if (lane * kBoxRows < columns)
                {
                    const u32 box = to + P::kWeightBytes + lane * kBoxRows * kStepDepth;
                    if constexpr (kFirst)
                    {
                        tma_gather4(box, &p.x, full, step * kStepDepth, rows);
                    }
                    else
                    {
                        tma_load_2d(box, &p.x, full, step * kStepDepth, tile.first + lane * kBoxRows);
                    }
                }

                scales += P::kHalves * kScaleTileBytes;
                ring.advance();
            }
        }
    }

    /// Warp 2: of each token the four scales of a step, into the tile's order: lane l has rows l, l + 32, …, whose words are neighbours there.
    template <bool kFirst>
    static __device__ __forceinline__ void load_token_scales(const NativeParameters& p, TileScheduler<Plan<kFirst>::kRows, kMostExperts> schedule, u32 shared)
    {
        using P = Plan<kFirst>;
        const int lane = threadIdx.x % 32, steps = ceil_div(p.depth, kStepDepth), stride = p.padded_depth / kMxBlock;
        StageRing<P::kStages> ring = {0, 1};
        Tile tile;
        for (int number = blockIdx.x; schedule.find(tile, number, p.experts); number += gridDim.x)
        {
            // Two steps at once, and the next two on their way meanwhile: the padded depth is a multiple of 256.
            const uint2* from[kScaleWords];
            uint2 next[kScaleWords];
#pragma unroll
            for (int i = 0; i < kScaleWords; i++)
            {
                from[i] = (const uint2*)(p.x_scales + (i64)x_row<kFirst>(p, tile, scale_tile_row(lane * 4 + i)) * stride);
                next[i] = *from[i];
            }

            for (int step = 0; step < steps; step += 2)
            {
                u32 words[2][4] = {};
#pragma unroll
                for (int i = 0; i < kScaleWords; i++)
                {
                    words[0][i] = next[i].x;
                    words[1][i] = next[i].y;
                    next[i] = from[i][min(step + 2, steps - 1) / 2];
                }

#pragma unroll
                for (int half = 0; half < 2; half++)
                {
                    if (step + half < steps)
                    {
                        mbarrier_wait(shared + P::empty(ring.stage), ring.phase);
                        store_shared(shared + P::scales(ring.stage) + P::kHalves * kScaleTileBytes + lane * 16,
                                     make_uint4(words[half][0], words[half][1], words[half][2], words[half][3]));
                        fence_async_proxy();
                        mbarrier_arrive(shared + P::full(ring.stage));
                        ring.advance();
                    }
                }
            }
        }
    }

    /// One thread of warp 1.
    template <bool kFirst>
    static __device__ __forceinline__ void multiply_tiles(const NativeParameters& p, TileScheduler<Plan<kFirst>::kRows, kMostExperts> schedule, u32 shared, u32 tensor)
    {
        using P = Plan<kFirst>;
        const int steps = ceil_div(p.depth, kStepDepth);
        StageRing<P::kStages> ring = {0, 0};
        StageRing<2> sets = {0, 1};
        Tile tile;
        for (int number = blockIdx.x; schedule.find(tile, number, p.experts); number += gridDim.x)
        {
            const u32 d = tensor + sets.stage * P::kHalves * kTokens, instruction = block_scaled_instruction(columns_of(tile), 0);
            mbarrier_wait(shared + P::emptied(sets.stage), sets.phase);
            tensor_fence_after();
#pragma unroll 1
            for (int step = 0; step < steps; step++)
            {
                mbarrier_wait(shared + P::full(ring.stage), ring.phase);
                tensor_fence_after();
                const u32 scales = shared + P::scales(ring.stage), weights = shared + P::stage(ring.stage);
                const u32 weight_scales = tensor + P::kScaleColumn + ring.stage * P::kStageColumns, token_scales = weight_scales + 4 * P::kHalves;
#pragma unroll
                for (int part = 0; part <= P::kHalves; part++)
                {
                    tensor_copy_scales(weight_scales + 4 * part, scales_descriptor(scales + part * kScaleTileBytes));
                }

                const u64 b = operand_descriptor(weights + P::kWeightBytes);
#pragma unroll
                for (int half = 0; half < P::kHalves; half++)
                {
                    const u64 a = operand_descriptor(weights + half * kMmaRows * kStepDepth);
#pragma unroll
                    for (int k = 0; k < kStepDepth / kMmaDepth; k++)
                    {
                        // 32 inputs are 32 bytes: 2 in a descriptor's units.
                        tensor_mma_block_scaled(d + half * kTokens, a + 2 * k, b + 2 * k, instruction | block_scaled_instruction(0, k),
                                                weight_scales + 4 * half, token_scales, step + k > 0);
                    }
                }

                tensor_commit(shared + P::empty(ring.stage));
                ring.advance();
            }

            tensor_commit(shared + P::filled(sets.stage));
            sets.advance();
        }
    }

    /// Four columns' bytes of this lane's row become four rows' bytes of column lane % 4, with the lanes beside it.
    static __device__ __forceinline__ u32 transpose_bytes(u32 word, int lane)
    {
#pragma unroll
        for (int round = 0; round < 2; round++)
        {
            word = __byte_perm(word, __shfl_xor_sync(~0u, word, 1 << round), transpose_selector(lane, round));
        }

        return word;
    }

    /// SwiGLU and MXFP8 of 16 columns: a lane has a neuron, a warp a block of 32.
    static __device__ __forceinline__ void store_act_columns(const NativeParameters& p, const Tile& tile, u32 tensor, int column0, int block, float2 bias)
    {
        const int lane = threadIdx.x % 32;
        u32 gate[kColumnStep], up[kColumnStep];
        tensor_load_x16(gate, tensor + column0);
        tensor_load_x16(up, tensor + kTokens + column0);
        tensor_wait_loads();
        u32 mine = 0;
        u8* out = p.codes + (i64)(tile.first + column0 + lane % 4) * p.out_stride + block * kMxBlock + lane / 4 * 4;
#pragma unroll
        for (int column = 0; column < kColumnStep; column += 4)
        {
            u32 packed = 0;
#pragma unroll
            for (int i = 0; i < 4; i += 2)
            {
                float v[2];
#pragma unroll
                for (int j = 0; j < 2; j++)
                {
                    const int at = column + i + j;
                    v[j] = p.activation(__uint_as_float(gate[at]) + bias.x, __uint_as_float(up[at]) + bias.y);
                    const u32 magnitude = __float_as_uint(v[j]) & 0x7fffffffu;
                    const u32 scale = mxfp8_scale(__reduce_max_sync(~0u, magnitude > 0x7f800000u ? 0 : magnitude));
                    v[j] *= mxfp8_multiplier(scale);
                    mine = lane == at ? scale : mine;
                }

                packed |= pack_e4m3(v[0], v[1]) << 8 * i;
            }

            packed = transpose_bytes(packed, lane);
            if (column0 + column + lane % 4 < tile.count)
            {
                *(u32*)(out + column * p.out_stride) = packed;
            }
        }

        if (lane < kColumnStep && column0 + lane < tile.count)
        {
            p.scales[(tile.first + column0 + lane) * (p.out_stride / kMxBlock) + block] = (u8)mine;
        }
    }

    /// 16 columns of the pairs' results: a lane has a row, and gives and takes every other column so that it stores two rows at once.
    static __device__ __forceinline__ void store_pair_columns(const NativeParameters& p, const Tile& tile, u32 tensor, int column0, int row0)
    {
        const int lane = threadIdx.x % 32, odd = lane % 2;
        u32 sums[kColumnStep];
        tensor_load_x16(sums, tensor + column0);
        const int pair = p.sorted_pairs[tile.first + min(column0 + lane % kColumnStep, tile.count - 1)];
        tensor_wait_loads();
        u16* out = p.out + row0 + lane - odd;
#pragma unroll
        for (int column = 0; column < kColumnStep; column += 2)
        {
            const float kept = __uint_as_float(odd ? sums[column + 1] : sums[column]);
            const float taken = __uint_as_float(__shfl_xor_sync(~0u, odd ? sums[column] : sums[column + 1], 1));
            const i64 to = __shfl_sync(~0u, pair, column + odd);
            if (column0 + column + odd < tile.count && row0 + lane < p.rows)
            {
                *(u32*)(out + to * p.out_stride) = odd ? pack_bf16(taken, kept) : pack_bf16(kept, taken);
            }
        }
    }

    /// Warps 4 to 7, each its 32 lanes of the accumulators.
    template <bool kFirst>
    static __device__ __forceinline__ void store_tiles(const NativeParameters& p, TileScheduler<Plan<kFirst>::kRows, kMostExperts> schedule, u32 shared, u32 tensor)
    {
        using P = Plan<kFirst>;
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4;
        StageRing<2> sets = {0, 0};
        Tile tile;
        for (int number = blockIdx.x; schedule.find(tile, number, p.experts); number += gridDim.x)
        {
            mbarrier_wait(shared + P::filled(sets.stage), sets.phase);
            tensor_fence_after();
            const u32 d = tensor + (warp * 32 << 16) + sets.stage * P::kHalves * kTokens;
            float2 bias = make_float2(0, 0);
            const int row0 = tile.row0 / P::kHalves + warp * 32;
            if (kFirst && p.bias != nullptr && 2 * (row0 + lane) < p.rows)
            {
                bias = *(const float2*)(p.bias + (i64)tile.expert * p.rows + 2 * (row0 + lane));
            }

#pragma unroll 1
            for (int column = 0; column < tile.count; column += kColumnStep)
            {
                if constexpr (kFirst)
                {
                    store_act_columns(p, tile, d, column, row0 / kMxBlock, bias);
                }
                else
                {
                    store_pair_columns(p, tile, d, column, row0);
                }
            }

            tensor_fence_before();
            mbarrier_arrive(shared + P::emptied(sets.stage));
            sets.advance();
        }
    }

    template <bool kFirst>
    static __device__ __forceinline__ void product(const NativeParameters& p)
    {
        using P = Plan<kFirst>;
        extern __shared__ char unaligned[];
        char* aligned = unaligned + (1024 - shared_address(unaligned) % 1024) % 1024;
        const u32 shared = shared_address(aligned);
        const int warp = threadIdx.x / 32;
        if (threadIdx.x == 0)
        {
            tma_prefetch_map(&p.weight);
            tma_prefetch_map(&p.x);
            for (int i = 0; i < P::kStages; i++)
            {
                mbarrier_init(shared + P::full(i), 1 + 32);
                mbarrier_init(shared + P::empty(i), 1);
            }

            for (int i = 0; i < 2; i++)
            {
                mbarrier_init(shared + P::filled(i), 1);
                mbarrier_init(shared + P::emptied(i), 128);
            }

            mbarrier_fence_init();
        }
        else if (warp == 1)
        {
            tensor_allocate<P::kColumns>(shared + P::kTensorBase);
            tensor_fence_before();
        }

        wait_for_previous_launch();
        allow_next_launch();
        int* table = (int*)(aligned + P::kScheduleBase);
        prepare_tile_scheduler<kTokens, kThreads, kMostExperts>(p.expert_offsets, p.experts, table);
        tensor_fence_after();
        const u32 tensor = *(const u32*)(aligned + P::kTensorBase);
        const TileScheduler<P::kRows, kMostExperts> schedule = {table, ceil_div(p.rows, P::kRows), 1, 0};
        if (warp == 0)
        {
            load_tiles<kFirst>(p, schedule, shared);
        }
        else if (warp == 1)
        {
            if (threadIdx.x % 32 == 0)
            {
                multiply_tiles<kFirst>(p, schedule, shared, tensor);
            }

            __syncwarp();
        }
        else if (warp == 2)
        {
            load_token_scales<kFirst>(p, schedule, shared);
        }
        else if (warp >= 4)
        {
            store_tiles<kFirst>(p, schedule, shared, tensor);
        }

        tensor_fence_before();
        __syncthreads();
        tensor_fence_after();
        if (warp == 1)
        {
            tensor_free<P::kColumns>(tensor);
        }
    }
};

template <int kTokens, int kStages1, int kStages2, int kShared1, int kShared2>
__global__ void __launch_bounds__(256, 1) moe_native_product1(const __grid_constant__ NativeParameters p)
{
    NativeProduct<kTokens, kStages1, kStages2, kShared1, kShared2>::template product<true>(p);
}

template <int kTokens, int kStages1, int kStages2, int kShared1, int kShared2>
__global__ void __launch_bounds__(256, 1) moe_native_product2(const __grid_constant__ NativeParameters p)
{
    NativeProduct<kTokens, kStages1, kStages2, kShared1, kShared2>::template product<false>(p);
}
