// What the products for many tokens an expert have in common: a thread block's walk through its tiles, and the ways out of the accumulators.
#pragma once
#include "mbarrier.cuh"
#include "mxfp8_round.cuh"
#include "product_counters.cuh"

constexpr int kMaxExperts = 512;

/// A schedule's table: experts + 1 first positions of each expert's pairs, then, from kScheduleStride on, as many token tiles of the experts before.
constexpr int kScheduleStride = kMaxExperts + 4, kScheduleBytes = 2 * kScheduleStride * 4;

/// Named barriers of the storing warpgroups: this and the next ones.
constexpr int kGroupBarrier = 2;

/// A tile: which expert, which weight rows, which of the expert's sorted pairs, which part of the inner dimension.
struct Tile
{
    int expert, row0, first, count, part;
};

/// Finds tiles by their numbers, in rising order: tiles of one expert are neighbours and those of one weight stripe next to each other, so that
/// what they share comes from L2. An expert's tokens are divided evenly into as few tiles as hold them.
template <int kRows>
struct Schedule
{
    const int* offsets;  // the schedule's table, in shared memory
    int stripes, parts;  // of the weight rows, of the inner dimension
    int expert;          // the last tile's

    /// Tiles of an expert's tokens.
    __device__ __forceinline__ int token_tiles(int e) const
    {
        return offsets[kScheduleStride + e + 1] - offsets[kScheduleStride + e];
    }

    /// Whether there is such a tile.
    __device__ __forceinline__ bool find(Tile& t, int number, int experts)
    {
        const int* prefix = offsets + kScheduleStride;
        const int units = stripes * parts;
        if (number >= prefix[experts] * units)
        {
            return false;
        }

        while (number >= prefix[expert + 1] * units)
        {
            expert++;
        }

        const int tiles = prefix[expert + 1] - prefix[expert], local = number - prefix[expert] * units;
        const int begin = offsets[expert], rows = offsets[expert + 1] - begin;
        // All but the last share fit a tile, and they never cover all rows: no tile is empty.
        const int share = ceil_div(ceil_div(rows, tiles), 16) * 16, part = local % tiles * share;
        t.expert = expert;
        t.row0 = local / tiles / parts * kRows;
        t.part = local / tiles % parts;
        t.first = begin + part;
        t.count = min(share, rows - part);
        return true;
    }
};

/// Slots of a block's tile numbers: more than any thread of the block is behind another, in tiles.
constexpr int kNumberSlots = 32, kNumberBytes = kNumberSlots * (8 + 8 + 4);

/// The numbers of a block's tiles after its first, which is the block's own: drawn from a counter of all blocks, as blocks that get their weights
/// sooner take more, by one thread of each block, which hands them to the others. And which of the tiles have been stored.
struct TileNumbers
{
    u32 barriers;   // kNumberSlots of one arrival and as many of a storing warp's each, in shared memory
    int* numbers;   // as many, behind them
    int taken;      // by this thread

    static __device__ __forceinline__ TileNumbers at(char* shared)
    {
        return {shared_address(shared), (int*)(shared + kNumberSlots * 16), 0};
    }

    /// One thread, before any other uses them.
    __device__ __forceinline__ void init(int storing_warps) const
    {
        for (int i = 0; i < kNumberSlots; i++)
        {
            mbarrier_init(barriers + i * 8, 1);
            mbarrier_init(barriers + (kNumberSlots + i) * 8, storing_warps);
        }
    }

    /// A warp, once it has stored its part of the tile whose number it took last.
    __device__ __forceinline__ void arrive_stored() const
    {
        __syncwarp();
        if (threadIdx.x % 32 == 0)
        {
            mbarrier_arrive(barriers + (kNumberSlots + taken % kNumberSlots) * 8);
        }
    }

    /// Until all warps have stored their parts of a tile: the block's own is 0.
    __device__ __forceinline__ void wait_stored(int tile) const
    {
        mbarrier_wait(barriers + (kNumberSlots + tile % kNumberSlots) * 8, tile / kNumberSlots & 1);
    }

    /// One thread of the block, before it takes the number itself.
    __device__ __forceinline__ void hand_out(int number) const
    {
        numbers[taken % kNumberSlots] = number;
        mbarrier_arrive(barriers + taken % kNumberSlots * 8);
    }

    __device__ __forceinline__ int take()
    {
        const int slot = taken % kNumberSlots;
        mbarrier_wait(barriers + slot * 8, taken / kNumberSlots & 1);
        taken++;
        return ((volatile int*)numbers)[slot];
    }
};

/// Makes the table of a schedule in shared memory; ends with a barrier of the block.
template <int kTokens, int kThreads>
__device__ __forceinline__ void prepare_schedule(const int* expert_offsets, int experts, int* offsets)
{
    int* prefix = offsets + kScheduleStride;
    for (int e = threadIdx.x; e <= experts; e += kThreads)
    {
        offsets[e] = load_coherent(expert_offsets + e);
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

/// What a loading thread remembers of the tile before. The first product's results of one expert after the other are finished while others are still
/// being made, and the second product begins with the experts that are.
template <bool kFirst>
struct TileBefore
{
    int expert = -1, stored = 0;

    /// The second product, before it reads rows of the next tile: until the first has stored all of that tile's expert.
    template <int kRows>
    __device__ __forceinline__ void wait_for_rows(const ProductCounters& counters, const Schedule<kRows>& schedule, const Tile& next, int depth)
    {
        if (!kFirst && next.expert != expert)
        {
            expert = next.expert;
            counters.wait_stored(expert, schedule.token_tiles(expert) * ceil_div(2 * depth, kRows));
        }
    }

    /// One thread of the first product, when all copies of the next tile are under way, or there is none (−1): by then the tile before has been
    /// stored, or soon will be.
    __device__ __forceinline__ void announce(const ProductCounters& counters, const TileNumbers& numbers, int next_expert)
    {
        if (kFirst)
        {
            if (expert >= 0)
            {
                numbers.wait_stored(stored++);
                counters.add_stored(expert);
            }

            expert = next_expert;
        }
    }
};

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

/// What store_act adds: the biases of this thread's gate and up. Read before a tile is multiplied, it waits for no memory afterwards.
__device__ __forceinline__ float2 act_bias(const Tile& tile, int group, const float* bias, int intermediate)
{
    const int mine = tile.row0 / 2 + group * 32 + threadIdx.x % 128 / 32 * 8 + threadIdx.x % 32 / 4;
    return bias != nullptr && mine < intermediate ? *(const float2*)(bias + (i64)tile.expert * 2 * intermediate + 2 * mine) : make_float2(0, 0);
}

/// What store_pairs adds: the biases of this thread's two rows, with the first part of the inner dimension alone.
__device__ __forceinline__ float2 pair_bias(const Tile& tile, int group, const float* bias, int hidden)
{
    const int mine = tile.row0 + group * 64 + threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4;
    if (bias == nullptr || mine >= hidden || tile.part != 0)
    {
        return make_float2(0, 0);
    }

    const float* b = bias + (i64)tile.expert * hidden + mine;
    return make_float2(b[0], b[mine + 8 < hidden ? 8 : 0]);
}

/// Fetches what store_pairs needs of a tile's pairs into shared memory of the warpgroup.
__device__ __forceinline__ void fetch_pairs(const Tile& tile, const int* sorted_pairs, const int* pairs)
{
    for (int i = threadIdx.x % 128; i < tile.count; i += 128)
    {
        copy_async_word(shared_address(pairs + i), sorted_pairs + tile.first + i);
    }
}

/// What the way out of a tile needs of memory, fetched before the tile is multiplied: its biases, and for the second product its pairs.
template <bool kFirst>
__device__ __forceinline__ float2 fetch_for_store(const Tile& tile, int group, const float* bias, int rows, const int* sorted_pairs, const int* pairs)
{
    if constexpr (kFirst)
    {
        return act_bias(tile, group, bias, rows / 2);
    }
    else
    {
        const float2 own = pair_bias(tile, group, bias, rows);
        fetch_pairs(tile, sorted_pairs, pairs);
        return own;
    }
}

/// SwiGLU, and 32 columns of act, of a warpgroup's 64 rows: of a warp's 16 accumulator rows the first 8 are gates and the others their ups,
/// so both are one thread's. `staged` is the warpgroup's kOutBytes of shared memory. With kMxfp8 act is rounded so, and `largest` is shared memory
/// of the warpgroup for kOutBytes / 64 tokens (mxfp8_pairs).
template <int kColumns, int kOutBytes, bool kMxfp8 = false>
__device__ __forceinline__ void store_act(const Activation& activation, const Tile& tile, float* d, char* staged, int group,
                                          const float2& b, const float* factor, int intermediate, u16* out, i64 out_stride,
                                          uint4* largest = nullptr)
{
    const int thread = threadIdx.x % 128, lane = thread % 32, warp = thread / 32;
    const int column0 = tile.row0 / 2 + group * 32, mine = column0 + warp * 8 + lane / 4;
    const i64 row = (i64)tile.expert * 2 * intermediate + 2 * mine;
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

/// 64 columns of the pairs' results, of a warpgroup's 64 rows. `pairs` is what fetch_pairs has fetched.
template <int kColumns, int kOutBytes>
__device__ __forceinline__ void store_pairs(const Tile& tile, float* d, char* staged, int group, const float2& b,
                                            const float* factor, int hidden, const int* pairs, u16* out, i64 out_stride)
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

#pragma unroll
    for (int i = 0; i < kColumns / 2; i++)
    {
        d[i] += i % 4 < 2 ? b.x : b.y;
    }

    constexpr int kPart = kOutBytes / 128;
    copy_async_wait_all();
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
                *(uint4*)(out + (i64)pairs[part + token] * out_stride + column0 + chunk * 8) = *(const uint4*)(staged + token * 128 + ((chunk ^ (token % 8)) * 16));
            }
        }
    }

    // The next tile's pairs come only when these are no longer needed.
    named_barrier(kGroupBarrier + group, 128);
}
