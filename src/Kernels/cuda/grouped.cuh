// What the products for many tokens an expert have in common: a thread block's walk through its tiles, and the ways out of the accumulators.
#pragma once
#include "mxfp8_round.cuh"

constexpr int kMaxExperts = 512;

/// A schedule's table: experts + 1 first positions of each expert's pairs, then, from kScheduleStride on, as many token tiles of the experts before.
constexpr int kScheduleStride = kMaxExperts + 4, kScheduleBytes = 2 * kScheduleStride * 4;

/// Named barriers of the storing warpgroups: this and the next ones.
constexpr int kGroupBarrier = 2;

/// A tile: which expert, which weight rows, which of the expert's sorted pairs.
struct Tile
{
    int expert, row0, first, count;
};

/// Walks a block's tiles, every gridDim.x-th: tiles of one expert are neighbours and those of one weight stripe next to each other, so that
/// what they share comes from L2. An expert's tokens are divided evenly into as few tiles as hold them.
template <int kRows>
struct Schedule
{
    const int* offsets;  // the schedule's table, in shared memory
    int stripes, tile, expert;

    __device__ __forceinline__ bool next(Tile& t, int experts)
    {
        const int* prefix = offsets + kScheduleStride;
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
        // All but the last share fit a tile, and they never cover all rows: no tile is empty.
        const int share = ceil_div(ceil_div(rows, tiles), 16) * 16, part = local % tiles * share;
        t.expert = expert;
        t.row0 = local / tiles * kRows;
        t.first = begin + part;
        t.count = min(share, rows - part);
        tile += gridDim.x;
        return true;
    }
};

/// Makes the table of a schedule in shared memory; ends with a barrier of the block.
template <int kTokens, int kThreads>
__device__ __forceinline__ void prepare_schedule(const int* expert_offsets, int experts, int* offsets)
{
    int* prefix = offsets + kScheduleStride;
    for (int e = threadIdx.x; e <= experts; e += kThreads)
    {
        offsets[e] = expert_offsets[e];
    }

    __syncthreads();
    if (threadIdx.x < 32)
    {
        int before = 0;
        for (int base = 0; base < experts; base += 32)
        {
            const int e = base + threadIdx.x, own = e < experts ? ceil_div(offsets[e + 1] - offsets[e], kTokens) : 0;
            int sum = own;
#pragma unroll
            for (int i = 1; i < 32; i *= 2)
            {
                const int up = __shfl_up_sync(~0u, sum, i);
                sum += threadIdx.x >= i ? up : 0;
            }

            if (e < experts)
            {
                prefix[e] = before + sum - own;
            }

            before += __shfl_sync(~0u, sum, 31);
        }

        if (threadIdx.x == 0)
        {
            prefix[experts] = before;
        }
    }

    __syncthreads();
}

/// act = (min(max(up, −limit), limit) + up_bias) · gate · sigmoid(alpha · gate), gate = min(gate, limit).
struct Activation
{
    float alpha, limit, up_bias;

    __device__ __forceinline__ float operator()(float gate, float up) const
    {
        gate = fminf(gate, limit);
        up = fminf(fmaxf(up, -limit), limit);
        return (up + up_bias) * gate * __fdividef(1.0f, 1.0f + __expf(-alpha * gate));
    }
};

/// SwiGLU, and 32 columns of act, of a warpgroup's 64 rows: of a warp's 16 accumulator rows the first 8 are gates and the others their ups,
/// so both are one thread's. `staged` is the warpgroup's kOutBytes of shared memory. With kMxfp8 act is rounded so, and `largest` is shared memory
/// of the warpgroup for kOutBytes / 64 tokens (mxfp8_pairs).
template <int kColumns, int kOutBytes, bool kMxfp8 = false>
__device__ __forceinline__ void store_act(const Activation& activation, const Tile& tile, float* d, char* staged, int group,
                                          const float* bias, const float* factor, int intermediate, u16* out, i64 out_stride,
                                          uint4* largest = nullptr)
{
    const int thread = threadIdx.x % 128, lane = thread % 32, warp = thread / 32;
    const int column0 = tile.row0 / 2 + group * 32, mine = column0 + warp * 8 + lane / 4;
    const i64 row = (i64)tile.expert * 2 * intermediate + 2 * mine;
    const float2 b = bias != nullptr && mine < intermediate ? *(const float2*)(bias + row) : make_float2(0, 0);
    if (factor != nullptr && mine < intermediate)
    {
        const float2 f = *(const float2*)(factor + row);
#pragma unroll
        for (int i = 0; i < kColumns / 2; i++)
        {
            d[i] *= i % 4 < 2 ? f.x : f.y;
        }
    }

    constexpr int kPart = kOutBytes / 64;
    const int chunk = thread % 4;
#pragma unroll
    for (int part = 0; part < kColumns; part += kPart)
    {
        if constexpr (kMxfp8)
        {
            // Nobody still reads what was published before: that is behind the barrier before the last rows left.
#pragma unroll
            for (int token = part; token < min(part + kPart, kColumns); token += 32)
            {
                u32 magnitudes[4] = {};
#pragma unroll
                for (int i = 0; i < 4; i++)
                {
                    const int at = token / 2 + i * 4;
                    if (at < kColumns / 2)
                    {
                        d[at] = activation(d[at] + b.x, d[at + 2] + b.y);
                        d[at + 1] = activation(d[at + 1] + b.x, d[at + 3] + b.y);
                        magnitudes[i] = magnitudes_bf16x2(d[at], d[at + 1]);
                    }
                }

                publish_magnitudes(largest, (token - part) / 2, warp, magnitudes);
            }
        }

        named_barrier(kGroupBarrier + group, 128);
#pragma unroll
        for (int token = part; token < min(part + kPart, kColumns); token += 32)
        {
            u32 packed[4];
#pragma unroll
            for (int i = 0; i < 4; i++)
            {
                const int at = min(token / 2 + i * 4, kColumns / 2 - 4);
                if constexpr (kMxfp8)
                {
                    packed[i] = round_mxfp8x2(d[at], d[at + 1], largest[(token - part) / 2 + i * 4 + lane % 4]);
                }
                else
                {
                    packed[i] = pack_bf16(activation(d[at] + b.x, d[at + 2] + b.y), activation(d[at + 1] + b.x, d[at + 3] + b.y));
                }
            }

            store_matrix_transposed_x4(shared_address(staged) + (token - part + lane) * 64 + ((warp ^ (lane / 2 % 4)) * 16), packed[0],
                                       packed[1], packed[2], packed[3]);
        }

        named_barrier(kGroupBarrier + group, 128);
        if (column0 + chunk * 8 < intermediate)
        {
            for (int token = thread / 4; token < min(kPart, tile.count - part); token += 32)
            {
                *(uint4*)(out + (i64)(tile.first + part + token) * out_stride + column0 + chunk * 8) =
                    *(const uint4*)(staged + token * 64 + ((chunk ^ (token / 2 % 4)) * 16));
            }
        }
    }
}

/// 64 columns of the pairs' results, of a warpgroup's 64 rows.
template <int kColumns, int kOutBytes>
__device__ __forceinline__ void store_pairs(const Tile& tile, float* d, char* staged, int group,
                                            const float* factor, int hidden, const int* sorted_pairs, u16* out, i64 out_stride)
{
    const int thread = threadIdx.x % 128, lane = thread % 32, warp = thread / 32;
    const int column0 = tile.row0 + group * 64, chunk = thread % 8, mine = column0 + warp * 16 + lane / 4;
    if (factor != nullptr && mine < hidden)
    {
        const float* f = factor + (i64)tile.expert * hidden + mine;
        const float low = f[0], high = f[mine + 8 < hidden ? 8 : 0];
#pragma unroll
        for (int i = 0; i < kColumns / 2; i++)
        {
            d[i] *= i % 4 < 2 ? low : high;
        }
    }

    constexpr int kPart = kOutBytes / 128;
#pragma unroll
    for (int part = 0; part < kColumns; part += kPart)
    {
        named_barrier(kGroupBarrier + group, 128);
#pragma unroll
        for (int token = part; token < min(part + kPart, kColumns); token += 16)
        {
            const int at = token / 2, next = min(at + 4, kColumns / 2 - 4);
            const int to_row = token - part + lane / 16 * 8 + lane % 8, to = warp * 2 + lane / 8 % 2;
            store_matrix_transposed_x4(shared_address(staged) + to_row * 128 + ((to ^ (lane % 8)) * 16), pack_bf16(d[at], d[at + 1]),
                                       pack_bf16(d[at + 2], d[at + 3]), pack_bf16(d[next], d[next + 1]), pack_bf16(d[next + 2], d[next + 3]));
        }

        named_barrier(kGroupBarrier + group, 128);
        if (column0 + chunk * 8 < hidden)
        {
            for (int token = thread / 8; token < min(kPart, tile.count - part); token += 16)
            {
                const i64 pair = sorted_pairs[tile.first + part + token];
                *(uint4*)(out + pair * out_stride + column0 + chunk * 8) = *(const uint4*)(staged + token * 128 + ((chunk ^ (token % 8)) * 16));
            }
        }
    }
}
