// Products of few tokens, where reading the weights is all the time there is. Every lane copies what it multiplies itself to shared memory, a ring of
// slices ahead, so that no lane waits for another one, and each only for its oldest slice: loads to registers would share the few scoreboards of a warp, and
// wait for each other. A tile is 16 · row_warps weight rows by 8 · kTiles tokens; a block's other warps divide the inner dimension.
#pragma once
#include "formats/e4m3.cuh"

/// kE4M3: weights are E4M3 codes with float32 scales, of tiles of 8 tokens; else BF16.
template <int kTiles, bool kE4M3 = false>
struct FewTokens
{
    static constexpr int kTokens = 8 * kTiles;
    static constexpr int kPieces = kE4M3 ? 2 : 1, kSlice = 32 * kPieces;  // inputs of a slice, which is 64 bytes of a row
    static constexpr int kWarps = 8, kThreads = 32 * kWarps, kRows = 16;  // of a block; weight rows of a warp
    static constexpr int kWords = 2 + kTiles * kPieces + kE4M3;           // of 16 bytes, of a lane's slice: two rows, tokens, scales
    static constexpr int kRing = kE4M3 ? 4 : kTiles == 1 ? 6 : 5;         // slices that are under way
    static constexpr int kSliceBytes = kWords * kThreads * 16;
    static constexpr int kSumBytes = kTiles * kThreads * 16;
    static constexpr int kSharedBytes = kRing * kSliceBytes + kSumBytes;

    /// Weights and tokens, from row0 and the token tile on.
    struct Tile
    {
        const void* weight;   // BF16 [rows, depth]; or E4M3 [rows, depth rounded up to 64], of each 64 inputs 0 to 7, 32 to 39, 8 to 15, 40 to 47, …
        const float4* scales; // with E4M3: [ceil(rows / 16), ceil(depth / 64)], of 32 inputs the even rows' and the odd ones', and of the other 32
        const u16* x;
        i64 x_stride;
        int rows, depth, row0, token_tile;
    };

    /// A lane's share of a tile: matrix row g is weight row 2g and row g + 8 is 2g + 1, so that gate and up of a neuron meet in one thread.
    struct Lane
    {
        const u8* rows;
        const float4* scales;
        const u16* column;
        u32 ring;                  // where its words lie, kThreads of them apart
        int row_bytes, stride;     // from a row to the next; from 8 tokens to the next 8, elements
        int begin, end;            // slices
        int row_end, column_end;   // slices and inputs that there are
        int tokens;                // from the lane's own on

        __device__ __forceinline__ Lane(const Tile& tile, int tokens_of_all, int row_warps, u32 shared)
        {
            const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
            const int row = tile.row0 + warp % row_warps * kRows + 2 * g, part = warp / row_warps, parts = kWarps / row_warps;
            const int slices = ceil_div(tile.depth, kSlice), token = tile.token_tile * kTokens + g;
            begin = slices * part / parts;
            end = slices * (part + 1) / parts;
            row_bytes = kE4M3 ? slices * 64 : tile.depth * 2;
            rows = (const u8*)tile.weight + (i64)row * row_bytes + t * 16;
            scales = tile.scales + (tile.row0 / kRows + warp % row_warps) * slices;
            column = tile.x + token * tile.x_stride + t * 8;
            stride = 8 * (int)tile.x_stride;  // of few tokens
            column_end = tile.depth - t * 8;
            row_end = row >= tile.rows ? 0 : kE4M3 ? slices : ceil_div(column_end, kSlice);
            tokens = tokens_of_all - token;
            ring = shared + threadIdx.x * 16;
        }
    };

    /// Asks for the first weights of a tile.
    static __device__ __forceinline__ void begin(const Lane& own)
    {
        const u64 policy = policy_evict_first();
        u32 to = own.ring;
#pragma unroll 1
        for (int slice = own.begin; slice < own.begin + kRing; slice++, to += kSliceBytes)
        {
            ask_for_weights(own, slice, to, policy);
            copy_async_commit();
        }
    }

    /// Multiplies what begin was called with, and leaves a warp's sums of its rows and its part of the inner dimension. Tokens are read.
    static __device__ __forceinline__ void multiply(const Lane& own, float4* all)
    {
        const u64 policy = policy_evict_first();
        u32 at = own.ring;
#pragma unroll 1
        for (int slice = own.begin; slice < own.begin + kRing; slice++, at += kSliceBytes)
        {
            ask_for_tokens(own, slice, at);
            copy_async_commit();
        }

        float sums[kTiles][4] = {};
        at = own.ring;
#pragma unroll 1
        for (int slice = own.begin; slice < own.end; slice++)
        {
            copy_async_wait<kRing - 1>();
            multiply_slice(at, sums);
            ask_for_weights(own, slice + kRing, at, policy);
            ask_for_tokens(own, slice + kRing, at);
            copy_async_commit();
            at += kSliceBytes;
            at = at == own.ring + kRing * kSliceBytes ? own.ring : at;
        }

#pragma unroll
        for (int j = 0; j < kTiles; j++)
        {
            all[j * kThreads + threadIdx.x] = make_float4(sums[j][0], sums[j][1], sums[j][2], sums[j][3]);
        }
    }

    /// Adds the parts' sums in their order, which keeps the result the same each time, times the rows' factors where there are some, and hands out two
    /// rows of a token each: store(row, token, sum, sum of the next row).
    template <typename TStore>
    static __device__ __forceinline__ void store_sums(const Tile& tile, int tokens, int row_warps, const float4* all, const float* factor, const TStore& store)
    {
        const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
#pragma unroll 1
        for (int item = threadIdx.x / 32; item < row_warps * kTiles; item += kWarps)
        {
            const int j = item % kTiles, row_warp = item / kTiles, row = tile.row0 + row_warp * kRows + 2 * g;
            const int token = tile.token_tile * kTokens + j * 8 + 2 * t;
            float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll 1
            for (int w = row_warp; w < kWarps; w += row_warps)
            {
                const float4 v = all[j * kThreads + w * 32 + lane];
                sum.x += v.x;
                sum.y += v.y;
                sum.z += v.z;
                sum.w += v.w;
            }

            const float2 f = factor != nullptr && row < tile.rows ? *(const float2*)(factor + row) : make_float2(1, 1);
            if (row < tile.rows && token < tokens)
            {
                store(row, token, sum.x * f.x, sum.z * f.y);
            }

            if (row < tile.rows && token + 1 < tokens)
            {
                store(row, token + 1, sum.y * f.x, sum.w * f.y);
            }
        }
    }

private:
    static constexpr int kWordBytes = kThreads * 16;

    static __device__ __forceinline__ void ask_for_weights(const Lane& own, int slice, u32 to, u64 policy)
    {
        if (slice < own.end)
        {
            const int bytes = slice < own.row_end ? 16 : 0;
            copy_async(to, bytes != 0 ? own.rows + slice * 64 : own.rows, bytes, policy);
            copy_async(to + kWordBytes, bytes != 0 ? own.rows + own.row_bytes + slice * 64 : own.rows, bytes, policy);
            if constexpr (kE4M3)
            {
                copy_async(to + (kWords - 1) * kWordBytes, bytes != 0 ? own.scales + slice : own.scales, bytes);
            }
        }
    }

    static __device__ __forceinline__ void ask_for_tokens(const Lane& own, int slice, u32 to)
    {
        if (slice < own.end)
        {
#pragma unroll
            for (int j = 0; j < kTiles; j++)
            {
#pragma unroll
                for (int h = 0; h < kPieces; h++)
                {
                    const int at = slice * kSlice + h * 32;
                    const bool exists = at < own.column_end && j * 8 < own.tokens;
                    copy_async(to + (2 + j * kPieces + h) * kWordBytes, exists ? own.column + (j * own.stride + at) : own.column, exists ? 16 : 0);
                }
            }
        }
    }

    static __device__ __forceinline__ void multiply_slice(u32 at, float (&sums)[kTiles][4])
    {
        const uint4 low = load_shared(at), high = load_shared(at + kWordBytes);
        if constexpr (kE4M3)
        {
            const uint4 scales = load_shared(at + (kWords - 1) * kWordBytes);
#pragma unroll
            for (int h = 0; h < kPieces; h++)
            {
                const uint4 even_row = widen_e4m3(low, h), odd_row = widen_e4m3(high, h);
                const float even = __uint_as_float(h == 0 ? scales.x : scales.z), odd = __uint_as_float(h == 0 ? scales.y : scales.w);
#pragma unroll
                for (int j = 0; j < kTiles; j++)
                {
                    float d[4] = {};
                    mma_bf16_k32(d, even_row, odd_row, load_shared(at + (2 + j * kPieces + h) * kWordBytes));
                    sums[j][0] += even * d[0];
                    sums[j][1] += even * d[1];
                    sums[j][2] += odd * d[2];
                    sums[j][3] += odd * d[3];
                }
            }
        }
        else
        {
#pragma unroll
            for (int j = 0; j < kTiles; j++)
            {
                mma_bf16_k32(sums[j], low, high, load_shared(at + (2 + j) * kWordBytes));
            }
        }
    }
};
