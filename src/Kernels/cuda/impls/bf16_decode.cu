// Both products of a BF16 mixture-of-experts layer for few tokens per expert, where reading the weights once is all the time there is.
//
// A thread block takes tiles of kRows weight rows of one expert and streams them through shared memory, kDepth values of the inner
// dimension a stage, together with the same slice of the expert's tokens (at most kTokens). Some warps do nothing but start copies, as far
// ahead as there are stages and across tiles; in the second product they start on the weights before the first product is done. Eight warps
// multiply: the weights are the 16-row operand of the matrix instruction and tokens its 8 columns, so that 1 to 8 tokens cost the same.
// They divide first the rows, then the inner dimension; the latter's parts are summed through shared memory in a fixed order.
#include "impls/bf16_product.cuh"
#include "ptx/mbarrier.cuh"

/// Both products with one tile; kCopyWarps warps only start copies. TActivation: activation.cuh.
template <int kRows, int kTokens, int kDepth, int kStages, int kCopyWarps, typename TActivation>
struct Decode
{
    static constexpr int kWarps = 8, kCopyThreads = kCopyWarps * 32, kThreads = kWarps * 32 + kCopyThreads;
    static constexpr int kRowWarps = kRows / 16, kDepthWarps = kWarps / kRowWarps, kColumns = kTokens / 8;
    static constexpr int kSlices = kDepth / 32 / kDepthWarps;  // slices of 32 that a warp takes from a stage
    // Row strides in bytes that keep the 16-byte reads of 8 lanes in distinct banks: lanes read every second weight row, and each token row.
    static constexpr int kWeightStride = kDepth * 2 + 32, kTokenStride = kDepth * 2 + 64;
    static constexpr int kTokenBase = kRows * kWeightStride, kStageBytes = kTokenBase + kTokens * kTokenStride;
    static constexpr int kSumBytes = (kDepthWarps - 1) * kRowWarps * kColumns * 512;
    // Shared memory: stages, then sums, then a full and an empty barrier a stage.
    static constexpr int kSumBase = kStages * kStageBytes, kBarrierBase = kSumBase + kSumBytes;
    static constexpr int kLine = kDepth / 8, kRowStep = kCopyThreads / kLine;  // 16-byte pieces a row; rows that the copying threads cover at once
    static constexpr int kWeightRounds = kRows / kRowStep, kTokenRounds = (kTokens + kRowStep - 1) / kRowStep;
    static_assert(kCopyThreads % kLine == 0 && kRows % kRowStep == 0, "whole rounds of copies");
    // A thread's copies under way at once: with 136 of them a launch did not end on an H100; up to 100 are proven.
    static_assert(kStages * (kWeightRounds + kTokenRounds) <= 100, "fewer stages or more copying warps");
    static_assert(kRows % 16 == 0 && kWarps % kRowWarps == 0 && kTokens % 8 == 0 && kTokens <= 64, "whole matrix instructions");
    static_assert(kDepth % (32 * kDepthWarps) == 0 && (kDepth * 2) % 128 == 0, "whole slices for each warp");

    /// How the tiles of a launch are numbered: row blocks, in each the splits, in each the row tiles.
    struct Tiling
    {
        int row_tiles, block_tiles, tiles, part;

        __device__ __forceinline__ explicit Tiling(const Bf16ProductParameters& p)
            : row_tiles(ceil_div(p.rows, kRows)), block_tiles(row_tiles * p.splits),
              tiles(load_coherent(p.row_block_count) * block_tiles), part(ceil_div(ceil_div(p.depth, 32), p.splits) * 32)
        {
        }

        __device__ __forceinline__ int4 block(const Bf16ProductParameters& p, int tile) const
        {
            return load_coherent(p.row_blocks + min(tile, tiles - 1) / block_tiles);
        }
    };

    /// A place in a block's sequence of stages, and what there is to copy for it.
    struct Cursor
    {
        int tile, depth, depth_end, row0, stage;
        u32 parity;
        int4 block, next_block;

        __device__ __forceinline__ void enter(const Bf16ProductParameters& p, const Tiling& tiling)
        {
            const int in_block = tile % tiling.block_tiles, split = in_block / tiling.row_tiles;
            block = next_block;
            row0 = in_block % tiling.row_tiles * kRows;
            depth = split * tiling.part;
            depth_end = max(depth, min(p.depth, depth + tiling.part));
            next_block = tiling.block(p, tile + gridDim.x);
        }

        /// One stage on; true if a new tile begins.
        __device__ __forceinline__ bool advance(const Bf16ProductParameters& p, const Tiling& tiling)
        {
            depth += kDepth;
            stage++;
            if (stage == kStages)
            {
                stage = 0;
                parity ^= 1;
            }

            if (depth < depth_end)
            {
                return false;
            }

            tile += gridDim.x;
            if (tile < tiling.tiles)
            {
                enter(p, tiling);
            }

            return true;
        }
    };

    /// The copying warps.
    template <bool kFirst>
    static __device__ __forceinline__ void copy_tiles(const Bf16ProductParameters& p, u32 base)
    {
        if (kFirst)
        {
            wait_for_previous_launch();
            allow_next_launch();
        }

        // The second product may read the routing before its wait: the first let it begin only after its own wait for the router.
        const Tiling tiling(p);
        const int thread = threadIdx.x - kWarps * 32, row = thread / kLine, piece = thread % kLine;
        const u64 once = policy_evict_first();
        const u32 full = base + kBarrierBase, empty = full + kStages * 8;
        Cursor at = {};
        at.tile = blockIdx.x;
        if (at.tile < tiling.tiles)
        {
            at.next_block = tiling.block(p, at.tile);
            at.enter(p, tiling);
        }

        auto copy_weights = [&](const Cursor& c) {
            const int depth = c.depth + piece * 8, bytes = depth < c.depth_end ? 16 : 0;
            const int rows = depth < c.depth_end + 31 ? p.rows - c.row0 - row : 0;  // zeros only to the end of a slice of 32
            const u16* from = p.weight + ((i64)c.block.x * p.rows + c.row0 + row) * p.depth + (bytes != 0 ? depth : 0);
            const u32 to = base + c.stage * kStageBytes + row * kWeightStride + piece * 16;
            mbarrier_wait(empty + c.stage * 8, c.parity ^ 1);
#pragma unroll
            for (int i = 0; i < kWeightRounds; i++)
            {
                if (i * kRowStep < rows)
                {
                    copy_async(to + i * kRowStep * kWeightStride, from + (i64)(i * kRowStep) * p.depth, bytes, once);
                }
            }
        };

        // The tile's rows of x that this thread copies, looked up once.
        int token_rows[kTokenRounds];
        auto find_tokens = [&](const Cursor& c) {
#pragma unroll
            for (int i = 0; i < kTokenRounds; i++)
            {
                const int place = c.block.y + min(i * kRowStep + row, c.block.z - 1);
                token_rows[i] = kFirst ? load_coherent(p.sorted_pairs + place) : place;
            }

#pragma unroll
            for (int i = 0; i < kTokenRounds; i++)
            {
                token_rows[i] /= kFirst ? p.top_k : 1;
            }
        };
        auto copy_tokens = [&](const Cursor& c) {
            const int depth = c.depth + piece * 8, bytes = depth < c.depth_end ? 16 : 0;
            const int rows = depth < c.depth_end + 31 ? c.block.z - row : 0;
            const u32 to = base + c.stage * kStageBytes + kTokenBase + row * kTokenStride + piece * 16;
#pragma unroll
            for (int i = 0; i < kTokenRounds; i++)
            {
                if (i * kRowStep < rows)
                {
                    copy_async(to + i * kRowStep * kTokenStride, p.x + token_rows[i] * p.x_stride + (bytes != 0 ? depth : 0), bytes);
                }
            }

            mbarrier_arrive_copy_async(full + c.stage * 8);
        };

        int early = 0;
        if (!kFirst)
        {
            for (Cursor c = at; early < kStages && c.tile < tiling.tiles; early++)
            {
                copy_weights(c);
                c.advance(p, tiling);
            }

            wait_for_previous_launch();
            allow_next_launch();
        }

        bool new_tile = true;
        while (at.tile < tiling.tiles)
        {
            if (early > 0)
            {
                early--;
            }
            else
            {
                copy_weights(at);
            }

            if (new_tile)
            {
                find_tokens(at);
            }

            copy_tokens(at);
            new_tile = at.advance(p, tiling);
        }
    }

    /// The multiplying warps.
    template <bool kFirst>
    static __device__ __forceinline__ void multiply_tiles(const Bf16ProductParameters& p, char* shared, u32 base)
    {
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
        const int row_warp = warp % kRowWarps, depth_warp = warp / kRowWarps;
        const u32 full = base + kBarrierBase, empty = full + kStages * 8;
        if (kFirst)
        {
            wait_for_previous_launch();
        }

        const Tiling tiling(p);
        Cursor at = {};
        at.tile = blockIdx.x;
        if (at.tile < tiling.tiles)
        {
            at.next_block = tiling.block(p, at.tile);
            at.enter(p, tiling);
        }

        while (at.tile < tiling.tiles)
        {
            const int tokens = at.block.z, row = at.row0 + row_warp * 16 + 2 * g, tile = at.tile;
            const int4 block = at.block;
            float2 bias = make_float2(0, 0);
            if (kFirst && p.bias != nullptr && depth_warp == 0 && row < p.rows)
            {
                bias = *(const float2*)(p.bias + (i64)block.x * p.rows + row);
            }

            float2 factor = make_float2(1, 1);
            if (p.factor != nullptr && depth_warp == 0 && row < p.rows)
            {
                factor = *(const float2*)(p.factor + (i64)block.x * p.rows + row);
            }

            int pairs[kColumns * 2] = {};  // of this thread's columns; asked for now, as the end of a tile holds up its stages
            if (!kFirst && depth_warp == 0)
            {
#pragma unroll
                for (int c = 0; c < kColumns * 2; c++)
                {
                    pairs[c] = load_coherent(p.sorted_pairs + block.y + min(c / 2 * 8 + 2 * t + c % 2, tokens - 1));
                }
            }

            float sums[kColumns][4] = {};
            bool done;
            do
            {
                const int left = at.depth_end - at.depth;
                const u32 from = base + at.stage * kStageBytes;
                const u32 weights = from + (row_warp * 16 + 2 * g) * kWeightStride + depth_warp * 64 + t * 16;
                const u32 columns = from + kTokenBase + g * kTokenStride + depth_warp * 64 + t * 16;
                const u32 release = empty + at.stage * 8;
                mbarrier_wait(full + at.stage * 8, at.parity);
#pragma unroll
                for (int i = 0; i < kSlices; i++)
                {
                    const int depth = (i * kDepthWarps + depth_warp) * 32;
                    if (depth < left)
                    {
                        // Matrix row g is weight row 2g and row g + 8 is 2g + 1: gate and up of one output meet in one thread.
                        const uint4 even = load_shared(weights + i * kDepthWarps * 64);
                        const uint4 odd = load_shared(weights + i * kDepthWarps * 64 + kWeightStride);
#pragma unroll
                        for (int j = 0; j < kColumns; j++)
                        {
                            if (j == 0 || j * 8 < tokens)
                            {
                                mma_bf16_k32(sums[j], even, odd, load_shared(columns + i * kDepthWarps * 64 + j * 8 * kTokenStride));
                            }
                        }
                    }
                }

                __syncwarp();
                if (lane == 0)
                {
                    mbarrier_arrive(release);
                }

                done = at.advance(p, tiling);
            } while (!done);

            if (kDepthWarps > 1)
            {
                float4* all = (float4*)(shared + kSumBase);
                named_barrier(1, kWarps * 32);  // the tile before has been summed
                if (depth_warp > 0)
                {
#pragma unroll
                    for (int j = 0; j < kColumns; j++)
                    {
                        if (j == 0 || j * 8 < tokens)
                        {
                            all[(((depth_warp - 1) * kRowWarps + row_warp) * kColumns + j) * 32 + lane] =
                                make_float4(sums[j][0], sums[j][1], sums[j][2], sums[j][3]);
                        }
                    }
                }

                named_barrier(1, kWarps * 32);
                if (depth_warp > 0)
                {
                    continue;
                }

#pragma unroll
                for (int j = 0; j < kColumns; j++)
                {
                    if (j == 0 || j * 8 < tokens)
                    {
#pragma unroll
                        for (int w = 0; w < kDepthWarps - 1; w++)
                        {
                            const float4 v = all[((w * kRowWarps + row_warp) * kColumns + j) * 32 + lane];
                            sums[j][0] += v.x;
                            sums[j][1] += v.y;
                            sums[j][2] += v.z;
                            sums[j][3] += v.w;
                        }
                    }
                }
            }

            if (row >= p.rows)
            {
                continue;
            }

            const int split = tile % tiling.block_tiles / tiling.row_tiles;
#pragma unroll
            for (int j = 0; j < kColumns; j++)
            {
#pragma unroll
                for (int c = 0; c < 2; c++)
                {
                    const int token = j * 8 + 2 * t + c;
                    if (token >= tokens)
                    {
                        continue;
                    }

                    const TActivation activation = {p.activation};
                    const float even = sums[j][c] * factor.x, odd = sums[j][c + 2] * factor.y;
                    if constexpr (kFirst && TActivation::kNeuronRows == 1)
                    {
                        const u32 act = pack_bf16(activation(even + bias.x), activation(odd + bias.y));
                        *(u32*)((u16*)p.out + (i64)(block.y + token) * p.out_stride + row) = act;
                    }
                    else if constexpr (kFirst)
                    {
                        const float act = activation(even + bias.x, odd + bias.y);
                        ((u16*)p.out)[(i64)(block.y + token) * p.out_stride + row / 2] = float_to_bf16(act);
                    }
                    else
                    {
                        *(float2*)((float*)p.out + split * p.split_stride + pairs[j * 2 + c] * p.out_stride + row) = make_float2(even, odd);
                    }
                }
            }
        }
    }

    template <bool kFirst>
    static __device__ __forceinline__ void product(const Bf16ProductParameters& p)
    {
        extern __shared__ __align__(128) char shared[];
        const u32 base = shared_address(shared), full = base + kBarrierBase;
        if (threadIdx.x == 0)
        {
            for (int i = 0; i < kStages; i++)
            {
                mbarrier_init(full + i * 8, kCopyThreads);
                mbarrier_init(full + (kStages + i) * 8, kWarps);
            }
        }

        __syncthreads();
        if (threadIdx.x >= kWarps * 32)
        {
            copy_tiles<kFirst>(p, base);
        }
        else
        {
            multiply_tiles<kFirst>(p, shared, base);
        }
    }
};

/// Grid: any number of blocks, best one per multiprocessor; 256 + 32 · kCopyWarps threads; kBarrierBase + 16 · kStages bytes of dynamic shared memory.
template <int kRows, int kTokens, int kDepth, int kStages, int kCopyWarps, typename TActivation>
__global__ void __launch_bounds__(256 + 32 * kCopyWarps, 1) bf16_decode_gate_up(const __grid_constant__ Bf16ProductParameters p)
{
    Decode<kRows, kTokens, kDepth, kStages, kCopyWarps, TActivation>::template product<true>(p);
}

template <int kRows, int kTokens, int kDepth, int kStages, int kCopyWarps>
__global__ void __launch_bounds__(256 + 32 * kCopyWarps, 1) bf16_decode_down(const __grid_constant__ Bf16ProductParameters p)
{
    Decode<kRows, kTokens, kDepth, kStages, kCopyWarps, Activation>::template product<false>(p);
}
