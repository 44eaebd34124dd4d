// Both products of a BF16 mixture-of-experts layer for few tokens an expert, where reading the weights once is all the time there is.
//
// A thread block takes tiles of kRows weight rows of one expert and streams them through shared memory, kDepth values of the inner
// dimension a stage, together with the same slice of the expert's tokens (at most kTokens). The weights are the 16-row operand of the
// warps' matrix instruction and tokens its 8 columns, so that up to 8 tokens cost the same. The 8 warps divide first the rows, then the
// inner dimension; the latter parts are summed in a fixed order through shared memory. Stages belong to one unending sequence over the
// block's tiles, so that the stream does not pause between tiles; the second product starts it before the first is done.
//
// Compiled with -DMOE_ROWS, -DMOE_TOKENS, -DMOE_DEPTH and -DMOE_STAGES; MOE_NAME(x) gives the entry points their names.
#include "ptx.cuh"

#define MOE_JOIN4(a, r, n, x) a##_r##r##_n##n
#define MOE_JOIN3(a, r, n) MOE_JOIN4(a, r, n, )
#define MOE_NAME(a) MOE_JOIN3(a, MOE_ROWS, MOE_TOKENS)

namespace
{
constexpr int kRows = MOE_ROWS, kTokens = MOE_TOKENS, kDepth = MOE_DEPTH, kStages = MOE_STAGES;
constexpr int kThreads = 256, kWarps = kThreads / 32;
constexpr int kRowWarps = kRows / 16, kDepthWarps = kWarps / kRowWarps, kColumns = kTokens / 8;
// Row strides in bytes that keep the 16-byte reads of 8 lanes in distinct banks: lanes read every second weight row, and each token row.
constexpr int kWeightStride = kDepth * 2 + 32, kTokenStride = kDepth * 2 + 64;
constexpr int kTokenBase = kRows * kWeightStride, kStageBytes = kTokenBase + kTokens * kTokenStride;
constexpr int kLine = kDepth / 8;                  // 16-byte pieces a row
constexpr int kRowStep = kThreads / kLine;         // rows that one round of all threads' copies covers
constexpr int kWeightRounds = kRows / kRowStep, kTokenRounds = (kTokens + kRowStep - 1) / kRowStep;
constexpr int kSlices = kDepth / 32 / kDepthWarps;  // slices of 32 that a warp takes from a stage
static_assert(kRows % 16 == 0 && kWarps % kRowWarps == 0 && kTokens % 8 == 0, "whole matrix instructions");
static_assert(kThreads % kLine == 0 && kRows % kRowStep == 0, "whole rounds of copies");
static_assert(kDepth % (32 * kDepthWarps) == 0 && (kDepth * 2) % 128 == 0, "whole slices for each warp");
static_assert(kWarps * kColumns * 512 <= kStageBytes, "a stage also holds the warps' sums");
}

struct ProductParameters
{
    const u16* x;                // first product: BF16 [tokens, x_stride]; second: BF16 [sorted pairs, x_stride]; rows 16-byte aligned
    const u16* weight;           // BF16 [experts, rows, depth]
    const float* bias;           // first product: [experts, rows], or null; second: not read
    void* out;                   // first: BF16 [sorted pairs, out_stride]; second: float32 [splits, pairs, out_stride], a pair is token · top_k + k
    const int* sorted_pairs;
    const int4* row_blocks;      // made with block_rows = kTokens or less
    const int* row_block_count;
    i64 x_stride;                // elements
    i64 out_stride;              // elements, second product: even
    i64 split_stride;            // elements between splits
    int rows;                    // first: 2 · intermediate (gate, up interleaved); second: hidden; even
    int depth;                   // inner dimension, a multiple of 8
    int top_k;
    int splits;                  // parts of the inner dimension, second product only; 1 for the first
    float alpha, limit, up_bias; // act = (min(max(up, −limit), limit) + up_bias) · gate · sigmoid(alpha · gate), gate = min(gate, limit)
};

template <bool kFirst>
__device__ __forceinline__ void product(const ProductParameters& p)
{
    extern __shared__ __align__(128) char stages[];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
    const int row_warp = warp % kRowWarps, depth_warp = warp / kRowWarps;
    const int line = threadIdx.x % kLine, copy_row = threadIdx.x / kLine;
    const u32 base = shared_address(stages);
    const u64 once = policy_evict_first();

    if (kFirst)
    {
        wait_for_previous_launch();
        allow_next_launch();
    }

    // The second product may read the routing before its wait: the first let it begin only after its own wait for the router.
    const int row_tiles = ceil_div(p.rows, kRows), tiles_a_block = row_tiles * p.splits;
    const int tiles = load_coherent(p.row_block_count) * tiles_a_block;
    const int part = ceil_div(ceil_div(p.depth, 32), p.splits) * 32;
    auto block_of = [&](int tile) { return load_coherent(p.row_blocks + min(tile, tiles - 1) / tiles_a_block); };

    // The copying side: which stage comes next, some stages ahead of the computing side.
    struct Cursor
    {
        int tile, depth, depth_end, stage;
        int4 block, next_block;
        const u16* weight;
        int rows_left;
    };
    auto enter_tile = [&](Cursor& c) {
        c.block = c.next_block;
        const int in_block = c.tile % tiles_a_block, split = in_block / row_tiles, row0 = (in_block % row_tiles) * kRows;
        c.depth = split * part;
        c.depth_end = min(p.depth, c.depth + part);
        c.rows_left = p.rows - row0 - copy_row;
        c.weight = p.weight + ((i64)c.block.x * p.rows + row0 + copy_row) * p.depth + line * 8;
        c.next_block = block_of(c.tile + gridDim.x);
    };
    auto advance = [&](Cursor& c) {
        c.depth += kDepth;
        c.stage = c.stage + 1 == kStages ? 0 : c.stage + 1;
        if (c.depth >= c.depth_end)
        {
            c.tile += gridDim.x;
            if (c.tile < tiles)
            {
                enter_tile(c);
            }
        }
    };
    auto copy_weights = [&](const Cursor& c) {
        const u32 to = base + c.stage * kStageBytes + copy_row * kWeightStride + line * 16;
        const int bytes = c.depth + line * 8 < c.depth_end ? 16 : 0;
        const u16* from = bytes ? c.weight + c.depth : p.weight;
        const i64 step = bytes ? (i64)kRowStep * p.depth : 0;
#pragma unroll
        for (int i = 0; i < kWeightRounds; i++)
        {
            if (i * kRowStep < c.rows_left)
            {
                copy_async_once(to + i * kRowStep * kWeightStride, from + i * step, bytes, once);
            }
        }
    };
    // Rows of x that this thread copies, looked up once a tile.
    int token_rows[kTokenRounds];
    auto find_tokens = [&](const Cursor& c) {
#pragma unroll
        for (int i = 0; i < kTokenRounds; i++)
        {
            const int row = i * kRowStep + copy_row;
            const int place = c.block.y + min(row, c.block.z - 1);
            token_rows[i] = kFirst ? load_coherent(p.sorted_pairs + place) / p.top_k : place;
        }
    };
    auto copy_tokens = [&](const Cursor& c) {
        const u32 to = base + c.stage * kStageBytes + kTokenBase + copy_row * kTokenStride + line * 16;
        const int bytes = c.depth + line * 8 < c.depth_end ? 16 : 0;
#pragma unroll
        for (int i = 0; i < kTokenRounds; i++)
        {
            if (i * kRowStep + copy_row < c.block.z)
            {
                copy_async(to + i * kRowStep * kTokenStride, bytes ? p.x + token_rows[i] * p.x_stride + c.depth + line * 8 : p.x, bytes);
            }
        }
    };

    Cursor ahead = {};
    ahead.tile = blockIdx.x;
    if (ahead.tile < tiles)
    {
        ahead.next_block = block_of(ahead.tile);
        enter_tile(ahead);
    }

    int4 block = ahead.block;  // the computing side's
    if (!kFirst)
    {
        Cursor weights = ahead;
#pragma unroll 1
        for (int i = 0; i < kStages - 1; i++)
        {
            if (weights.tile < tiles)
            {
                copy_weights(weights);
                advance(weights);
            }
        }

        wait_for_previous_launch();
        allow_next_launch();
    }

    int found_tile = -1;
    auto fill = [&](bool with_weights) {
        if (ahead.tile < tiles)
        {
            if (with_weights)
            {
                copy_weights(ahead);
            }

            if (ahead.tile != found_tile)
            {
                find_tokens(ahead);
                found_tile = ahead.tile;
            }

            copy_tokens(ahead);
            advance(ahead);
        }

        copy_async_commit();
    };
#pragma unroll 1
    for (int i = 0; i < kStages - 1; i++)
    {
        fill(kFirst);
    }

    int stage = 0;
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x)
    {
        const int in_block = tile % tiles_a_block, split = in_block / row_tiles, row0 = (in_block % row_tiles) * kRows;
        const int depth = min(part, p.depth - split * part), tokens = block.z;
        const int4 next_block = block_of(tile + gridDim.x);
        float sums[kColumns][4] = {};
        u32 at = 0;
        int left = depth;
        do
        {
            copy_async_wait<kStages - 2>();
            __syncthreads();
            fill(true);
            at = base + stage * kStageBytes;
            const u32 weights = at + (row_warp * 16 + 2 * g) * kWeightStride + depth_warp * 64 + t * 16;
            const u32 columns = at + kTokenBase + g * kTokenStride + depth_warp * 64 + t * 16;
#pragma unroll
            for (int i = 0; i < kSlices; i++)
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

            stage = stage + 1 == kStages ? 0 : stage + 1;
            left -= kDepth;
        } while (left > 0);

        // The stage just used is free until the next one has been waited for: it takes the sums.
        __syncthreads();
        float4* all = (float4*)(stages + (at - base));
#pragma unroll
        for (int j = 0; j < kColumns; j++)
        {
            if (j == 0 || j * 8 < tokens)
            {
                all[((depth_warp * kRowWarps + row_warp) * kColumns + j) * 32 + lane] = make_float4(sums[j][0], sums[j][1], sums[j][2], sums[j][3]);
            }
        }

        __syncthreads();
#pragma unroll 1
        for (int item = warp; item < kRowWarps * kColumns; item += kWarps)
        {
            const int j = item % kColumns, row = row0 + item / kColumns * 16 + 2 * g;
            if (j * 8 >= tokens || row >= p.rows)
            {
                continue;
            }

            float4 sum = all[item * 32 + lane];
#pragma unroll
            for (int w = 1; w < kDepthWarps; w++)
            {
                const float4 v = all[(w * kRowWarps * kColumns + item) * 32 + lane];
                sum.x += v.x;
                sum.y += v.y;
                sum.z += v.z;
                sum.w += v.w;
            }

            float2 bias = make_float2(0, 0);
            if (kFirst && p.bias != nullptr)
            {
                bias = *(const float2*)(p.bias + (i64)block.x * p.rows + row);
            }

#pragma unroll
            for (int c = 0; c < 2; c++)
            {
                const int token = j * 8 + 2 * t + c;
                const float even = c == 0 ? sum.x : sum.y, odd = c == 0 ? sum.z : sum.w;
                if (token >= tokens)
                {
                    continue;
                }

                const i64 place = block.y + token;
                if (kFirst)
                {
                    const float gate = fminf(even + bias.x, p.limit), up = fminf(fmaxf(odd + bias.y, -p.limit), p.limit);
                    const float act = (up + p.up_bias) * gate / (1.0f + __expf(-p.alpha * gate));
                    ((u16*)p.out)[place * p.out_stride + row / 2] = float_to_bf16(act);
                }
                else
                {
                    const i64 pair = load_coherent(p.sorted_pairs + place);
                    *(float2*)((float*)p.out + split * p.split_stride + pair * p.out_stride + row) = make_float2(even, odd);
                }
            }
        }

        block = next_block;
    }
}

#ifndef MOE_BLOCKS
#define MOE_BLOCKS 2
#endif

/// Grid: any number of blocks, best one a multiprocessor; 256 threads; dynamic shared memory MOE_STAGES · kStageBytes.
extern "C" __global__ void __launch_bounds__(256, MOE_BLOCKS) MOE_NAME(bf16_decode_gate_up)(const __grid_constant__ ProductParameters p)
{
    product<true>(p);
}

extern "C" __global__ void __launch_bounds__(256, MOE_BLOCKS) MOE_NAME(bf16_decode_down)(const __grid_constant__ ProductParameters p)
{
    product<false>(p);
}
