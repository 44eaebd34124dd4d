// Attention with sinks and a window: p_j = exp(z_j − m) ÷ (Σ exp(z_k − m) + exp(s − m)), z = scale · q · k, s the head's sink, a logit without a value
// (openai/gpt-oss, gpt_oss/torch/model.py, sdpa). A warp has 16 rows, each a query head of one key-value head at one position, and goes over keys 32
// at a time with a running maximum. Keys and values come from memory right into the registers of the tensor cores: which key stands in which
// column is chosen so that each lane's weights of the first product are its operand of the second one.
#pragma once
#include "gpt_oss_batch.cuh"

constexpr int kKeys = 32;
constexpr float kLog2E = 1.4426950408889634f;

struct AttentionParameters
{
    const u16* queries;        // BF16 [tokens, heads, head size], rotated
    const BatchToken* tokens;
    const float* sinks;        // [heads]
    u16* out;                  // BF16 [tokens, heads, head size]
    float* partial;            // decode: [tokens, key-value heads, splits, 16, head size + 2]
    int* arrived;              // decode: [tokens, key-value heads], 0 before and after
    const int2* groups;        // prefill: (first token, tokens) of each warp; neighbours of one text
    CacheLayer cache;
    int heads;
    int window;    // keys that a token sees, itself among them; 0 for all
    int groups_count;
    float scale;   // times log2 e
};

/// Of 16 rows: maximum, sum of exp2(z − maximum), and the weighted sum of values. A lane has rows g and g + 8, columns 8n + 2t and the next of each n.
template <int kHeadSize>
struct RowSums
{
    float maximum[2], sum[2], values[kHeadSize / 8][4];

    __device__ __forceinline__ RowSums()
    {
#pragma unroll
        for (int r = 0; r < 2; r++)
        {
            maximum[r] = -__int_as_float(0x7f800000);
            sum[r] = 0.0f;
        }

#pragma unroll
        for (int n = 0; n < kHeadSize / 8; n++)
        {
#pragma unroll
            for (int i = 0; i < 4; i++)
            {
                values[n][i] = 0.0f;
            }
        }
    }
};

/// exp2(a − b), where −∞ − −∞ counts as −∞.
__device__ __forceinline__ float shrink(float a, float b)
{
    return a == -__int_as_float(0x7f800000) ? 0.0f : exp2f(a - b);
}

/// Rows g and g + 8 of the queries, dealt as mma_bf16_k32 wants its first operand.
template <int kHeadSize>
struct QueryRows
{
    uint4 of[2][kHeadSize / 32];
    int position[2];  // −1 for a row that is none

    /// Row r is head r % group of the key-value head, at the token first + r / group.
    __device__ __forceinline__ QueryRows(const AttentionParameters& p, int first, int count, int head)
    {
        const int group = p.heads / p.cache.heads, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
#pragma unroll
        for (int r = 0; r < 2; r++)
        {
            const int row = g + 8 * r, token = first + row / group;
            const bool is_there = row < count * group;
            position[r] = is_there ? p.tokens[token].position : -1;
#pragma unroll
            for (int k = 0; k < kHeadSize / 32; k++)
            {
                of[r][k] = is_there
                    ? *(const uint4*)(p.queries + ((i64)token * p.heads + head * group + row % group) * kHeadSize + 32 * k + 8 * t)
                    : make_uint4(0, 0, 0, 0);
            }
        }
    }
};

/// 32 keys and their values, which lie in one page, dealt as mma_bf16_k32 wants its second operand.
template <int kHeadSize>
struct KeyTile
{
    uint4 key[4][kHeadSize / 32], value[kHeadSize / 8];

    /// From a position on, a multiple of 32.
    __device__ __forceinline__ void load(const CacheLayer& cache, const BatchToken& text, int head, int first)
    {
        const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
        const u16* keys = cache.keys(text, head, first);
        const u16* values = cache.values(text, head, first);
#pragma unroll
        for (int j = 0; j < 4; j++)
        {
#pragma unroll
            for (int k = 0; k < kHeadSize / 32; k++)
            {
                // Column c of product j is key 8 (c / 2) + 2j + c % 2: a lane, whose columns are 2t and 2t + 1, gets keys 8t to 8t + 7.
                key[j][k] = *(const uint4*)(keys + (8 * (g / 2) + 2 * j + g % 2) * kHeadSize + 32 * k + 8 * t);
            }
        }

#pragma unroll
        for (int n = 0; n < kHeadSize / 8; n++)
        {
            value[n] = *(const uint4*)(values + (8 * n + g) * kPagePositions + 8 * t);
        }
    }
};

/// Adds the keys and values from position `first` on.
template <int kHeadSize>
__device__ __forceinline__ void add_keys(
    const AttentionParameters& p, const QueryRows<kHeadSize>& rows, const KeyTile<kHeadSize>& tile, int first, RowSums<kHeadSize>& sums)
{
    const int t = threadIdx.x % 4;
    float scores[4][4] = {};
#pragma unroll
    for (int j = 0; j < 4; j++)
    {
#pragma unroll
        for (int k = 0; k < kHeadSize / 32; k++)
        {
            mma_bf16_k32(scores[j], rows.of[0][k], rows.of[1][k], tile.key[j][k]);
        }
    }

    uint4 weights[2];
#pragma unroll
    for (int r = 0; r < 2; r++)
    {
        const int last = rows.position[r], oldest = p.window > 0 ? last - p.window + 1 : 0;
        float maximum = -__int_as_float(0x7f800000);
#pragma unroll
        for (int i = 0; i < 8; i++)
        {
            const int position = first + 8 * t + i;
            float& score = scores[i / 2][2 * r + i % 2];
            score = position <= last && position >= oldest ? score * p.scale : -__int_as_float(0x7f800000);
            maximum = fmaxf(maximum, score);
        }

        maximum = fmaxf(maximum, __shfl_xor_sync(~0u, maximum, 1));
        maximum = fmaxf(maximum, __shfl_xor_sync(~0u, maximum, 2));
        maximum = fmaxf(maximum, sums.maximum[r]);
        const float by = shrink(sums.maximum[r], maximum);
        float sum = 0.0f;
#pragma unroll
        for (int i = 0; i < 8; i++)
        {
            float& score = scores[i / 2][2 * r + i % 2];
            score = shrink(score, maximum);
            sum += score;
        }

        // Each lane of a row sums its own keys; they are put together at the end.
        sums.sum[r] = sums.sum[r] * by + sum;
        sums.maximum[r] = maximum;
#pragma unroll
        for (int n = 0; n < kHeadSize / 8; n++)
        {
            sums.values[n][2 * r] *= by;
            sums.values[n][2 * r + 1] *= by;
        }

        weights[r] = make_uint4(
            pack_bf16(scores[0][2 * r], scores[0][2 * r + 1]), pack_bf16(scores[1][2 * r], scores[1][2 * r + 1]),
            pack_bf16(scores[2][2 * r], scores[2][2 * r + 1]), pack_bf16(scores[3][2 * r], scores[3][2 * r + 1]));
    }

#pragma unroll
    for (int n = 0; n < kHeadSize / 8; n++)
    {
        mma_bf16_k32(sums.values[n], weights[0], weights[1], tile.value[n]);
    }
}

/// The lanes' sums of a row put together.
template <int kHeadSize>
__device__ __forceinline__ void sum_lanes(RowSums<kHeadSize>& sums)
{
#pragma unroll
    for (int r = 0; r < 2; r++)
    {
        sums.sum[r] += __shfl_xor_sync(~0u, sums.sum[r], 1);
        sums.sum[r] += __shfl_xor_sync(~0u, sums.sum[r], 2);
    }
}

constexpr int kDecodeWarps = 8;
constexpr int kMostSplits = 32;

/// One token's keys of one key-value head, split over blocks, and a block's over its first kDecodeWarps warps; who comes last puts them together.
template <int kHeadSize>
struct DecodePart
{
    static constexpr int kWidth = kHeadSize + 2;

    /// Floats of shared memory at most: as many rows of each warp as query heads share a key-value head.
    static constexpr int kFound = kDecodeWarps * 16 * kWidth;

    const AttentionParameters& p;
    const int token, head, split, most_splits;
    const BatchToken text;
    int first, tiles, splits, begin, end;
    KeyTile<kHeadSize> keys;
    bool is_early = false;

    /// least: keys, in tiles of 32, that a block has at least before they are split.
    __device__ __forceinline__ DecodePart(const AttentionParameters& p, int token, int head, int split, int most_splits, int least)
        : p(p), token(token), head(head), split(split), most_splits(most_splits), text(p.tokens[token])
    {
        const int oldest = p.window > 0 ? max(text.position - p.window + 1, 0) : 0;
        first = oldest / kKeys;
        tiles = text.position / kKeys - first + 1;
        const int own = max(least, ceil_div(tiles, most_splits));
        splits = ceil_div(tiles, own);
        begin = own * split;
        end = min(tiles, begin + own);
    }

    __device__ __forceinline__ bool is_empty() const { return split >= splits; }

    /// Where the texts stand was written before this step, and so were all keys but the newest: a warp's first are fetched while the queries are computed.
    __device__ __forceinline__ void load_early()
    {
        const int tile = begin + threadIdx.x / 32;
        is_early = tile < end && tile < tiles - 1;
        if (is_early)
        {
            keys.load(p.cache, text, head, (first + tile) * kKeys);
        }
    }

    /// Once the queries and the newest keys are there; whether the token's outputs of this head are complete now. `found` is shared memory.
    __device__ __forceinline__ bool attend(float* found)
    {
        const int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4, heads = p.heads / p.cache.heads;
        const QueryRows<kHeadSize> rows(p, token, 1, head);
        RowSums<kHeadSize> sums;
        for (int tile = begin + warp; tile < end; tile += kDecodeWarps)
        {
            if (tile != begin + warp || !is_early)
            {
                keys.load(p.cache, text, head, (first + tile) * kKeys);
            }

            add_keys<kHeadSize>(p, rows, keys, (first + tile) * kKeys, sums);
        }

        sum_lanes<kHeadSize>(sums);
#pragma unroll
        for (int r = 0; r < 2; r++)
        {
            if (g + 8 * r >= heads)
            {
                continue;
            }

            float* row = found + (warp * heads + g + 8 * r) * kWidth;
#pragma unroll
            for (int n = 0; n < kHeadSize / 8; n++)
            {
                row[8 * n + 2 * t] = sums.values[n][2 * r];
                row[8 * n + 2 * t + 1] = sums.values[n][2 * r + 1];
            }

            if (t == 0)
            {
                row[kHeadSize] = sums.maximum[r];
                row[kHeadSize + 1] = sums.sum[r];
            }
        }

        wait_for_warps();
        float* partial = p.partial + ((i64)token * p.cache.heads + head) * most_splits * 16 * kWidth;
        for (int i = threadIdx.x; i < heads * kHeadSize; i += 32 * kDecodeWarps)
        {
            const int row = i / kHeadSize, column = i % kHeadSize;
            float maximum = -__int_as_float(0x7f800000), sum = 0.0f, value = 0.0f;
#pragma unroll
            for (int w = 0; w < kDecodeWarps; w++)
            {
                maximum = fmaxf(maximum, found[(w * heads + row) * kWidth + kHeadSize]);
            }

#pragma unroll
            for (int w = 0; w < kDecodeWarps; w++)
            {
                const float* of_warp = found + (w * heads + row) * kWidth;
                const float by = shrink(of_warp[kHeadSize], maximum);
                sum += by * of_warp[kHeadSize + 1];
                value += by * of_warp[column];
            }

            if (splits == 1)
            {
                finish(row, column, maximum, sum, value);
                continue;
            }

            float* to = partial + ((i64)split * 16 + row) * kWidth;
            to[column] = value;
            if (column == 0)
            {
                to[kHeadSize] = maximum;
                to[kHeadSize + 1] = sum;
            }
        }

        return splits == 1 || put_together(partial);
    }

  private:
    static __device__ __forceinline__ void wait_for_warps() { named_barrier(1, 32 * kDecodeWarps); }

    __device__ __forceinline__ void finish(int row, int column, float maximum, float sum, float value) const
    {
        const int own = head * (p.heads / p.cache.heads) + row;
        const float sink = p.sinks[own] * kLog2E, highest = fmaxf(maximum, sink), by = shrink(maximum, highest);
        p.out[((i64)token * p.heads + own) * kHeadSize + column] = float_to_bf16(value * by / (sum * by + exp2f(sink - highest)));
    }

    /// The splits' sums, if this is the last of them.
    __device__ __forceinline__ bool put_together(const float* partial) const
    {
        __shared__ int before;
        int* arrived = p.arrived + (i64)token * p.cache.heads + head;
        wait_for_warps();
        if (threadIdx.x == 0)
        {
            before = add_release(arrived, 1);
        }

        wait_for_warps();
        if (before != splits - 1)
        {
            return false;
        }

        if (threadIdx.x == 0)
        {
            *arrived = 0;
        }

        // A warp has a row, and a lane a split: what each split counts for.
        static_assert(kMostSplits == 32, "a lane a split");
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, heads = p.heads / p.cache.heads;
        for (int row = warp; row < heads; row += kDecodeWarps)
        {
            const float* of_row = partial + row * kWidth;
            const float* of_lane = of_row + (i64)lane * 16 * kWidth;
            float maximum = lane < splits ? load_coherent(of_lane + kHeadSize) : -__int_as_float(0x7f800000);
            float sum = lane < splits ? load_coherent(of_lane + kHeadSize + 1) : 0.0f;
            float highest = maximum;
#pragma unroll
            for (int d = 16; d > 0; d /= 2)
            {
                highest = fmaxf(highest, __shfl_xor_sync(~0u, highest, d));
            }

            const float by = shrink(maximum, highest);
            sum *= by;
#pragma unroll
            for (int d = 16; d > 0; d /= 2)
            {
                sum += __shfl_xor_sync(~0u, sum, d);
            }

            float values[kHeadSize / 32] = {};
#pragma unroll 4
            for (int s = 0; s < splits; s++)
            {
                const float weight = __shfl_sync(~0u, by, s);
#pragma unroll
                for (int c = 0; c < kHeadSize / 32; c++)
                {
                    values[c] += weight * load_coherent(of_row + (i64)s * 16 * kWidth + 32 * c + lane);
                }
            }

#pragma unroll
            for (int c = 0; c < kHeadSize / 32; c++)
            {
                finish(row, 32 * c + lane, highest, sum, values[c]);
            }
        }

        return true;
    }
};
