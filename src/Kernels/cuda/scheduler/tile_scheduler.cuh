// The tile scheduler of the persistent blocks: which tiles there are, and which block takes which.
#pragma once
#include "ptx/mbarrier.cuh"
#include "scheduler/product_counters.cuh"

/// A schedule's table: experts + 1 first positions of each expert's pairs, then, from schedule_stride on, as many token tiles of the experts before.
constexpr int schedule_stride(int most_experts)
{
    return most_experts + 4;
}

constexpr int schedule_bytes(int most_experts)
{
    return 2 * schedule_stride(most_experts) * 4;
}

/// A tile: which expert, which weight rows, which of the expert's sorted pairs, which part of the inner dimension.
struct Tile
{
    int expert, row0, first, count, part;
};

/// Finds tiles by their numbers, in rising order: tiles of one expert are neighbours and those of one weight stripe next to each other, so that
/// what they share comes from L2. An expert's tokens are divided evenly into as few tiles as hold them, in multiples of 16.
template <int kRows, int kMostExperts>
struct TileScheduler
{
    static constexpr int kStride = schedule_stride(kMostExperts);

    const int* offsets;  // the schedule's table, in shared memory
    int stripes, parts;  // of the weight rows, of the inner dimension
    int expert;          // the last tile's

    /// Tiles of an expert's tokens.
    __device__ __forceinline__ int token_tiles(int e) const
    {
        return offsets[kStride + e + 1] - offsets[kStride + e];
    }

    /// Whether there is such a tile.
    __device__ __forceinline__ bool find(Tile& t, int number, int experts)
    {
        const int* prefix = offsets + kStride;
        const int units = stripes * parts;
        if (number >= prefix[experts] * units)
        {
            return false;
        }

        seek(prefix, number / units, experts);
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

private:
    /// The expert that has a token tile: this one, the next or, where many have no tokens, by halving.
    __device__ __forceinline__ void seek(const int* prefix, int token_tile, int experts)
    {
        if (token_tile < prefix[expert + 1])
        {
            return;
        }

        int end = experts;  // its first token tile comes after the one that is sought
        expert++;
        for (int middle = expert + 1; expert + 1 < end; middle = (expert + end) / 2)
        {
            const bool is_after = token_tile < prefix[middle];
            end = is_after ? middle : end;
            expert = is_after ? expert : middle;
        }
    }
};

/// Slots of a block's tiles: more than any thread of the block is behind another, in tiles.
constexpr int kNumberSlots = 32;

/// A block's tiles, or what is known of each: drawn from a counter of all blocks, as blocks that get their weights sooner take more, by one thread of each
/// block, which hands them to the others. And which of the tiles have been stored.
template <typename T, typename TCount = int>
struct TileSlots
{
    static constexpr int kBytes = kNumberSlots * (8 + 8 + sizeof(T));

    u32 barriers;  // kNumberSlots of one arrival and as many of a storing warp's each, in shared memory
    T* slots;      // as many, behind them
    TCount taken;  // by this thread

    static __device__ __forceinline__ TileSlots at(char* shared)
    {
        return {shared_address(shared), (T*)(shared + kNumberSlots * 16), 0};
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

    /// A warp, once it has stored its part of tile `taken`: where tiles are numbers, that is the one it took last, behind the block's own.
    __device__ __forceinline__ void arrive_stored() const
    {
        __syncwarp();
        if (threadIdx.x % 32 == 0)
        {
            mbarrier_arrive(barriers + (kNumberSlots + taken % kNumberSlots) * 8);
        }
    }

    /// Until all warps have stored their parts of a tile: the block's own is 0.
    __device__ __forceinline__ void wait_stored(TCount tile) const
    {
        mbarrier_wait(barriers + (kNumberSlots + tile % kNumberSlots) * 8, tile / kNumberSlots & 1);
    }

    /// One thread of the block, before it takes the number itself.
    __device__ __forceinline__ void hand_out(const T& tile) const
    {
        slots[taken % kNumberSlots] = tile;
        mbarrier_arrive(barriers + taken % kNumberSlots * 8);
    }

    /// Whether there is one to take.
    __device__ __forceinline__ bool can_take() const
    {
        return mbarrier_is_over(barriers + taken % kNumberSlots * 8, taken / kNumberSlots & 1);
    }

    __device__ __forceinline__ T take()
    {
        const TCount slot = taken % kNumberSlots;
        mbarrier_wait(barriers + slot * 8, taken / kNumberSlots & 1);
        taken++;
        return slots[slot];
    }
};

/// The numbers of a block's tiles after its first, which is the block's own.
using TileNumbers = TileSlots<int>;
constexpr int kNumberBytes = TileNumbers::kBytes;

/// Makes the table of a schedule in shared memory; ends with a barrier of the block.
template <int kTokens, int kThreads, int kMostExperts>
__device__ __forceinline__ void prepare_tile_scheduler(const int* expert_offsets, int experts, int* offsets)
{
    int* prefix = offsets + schedule_stride(kMostExperts);
    for (int e = threadIdx.x; e <= experts; e += kThreads)
    {
        offsets[e] = load_coherent(expert_offsets + e);
    }

    // A warp has 32 experts, and counts for itself what comes before them.
    __syncthreads();
    auto tiles_of = [&](int e) { return e < experts ? ceil_div(offsets[e + 1] - offsets[e], kTokens) : 0; };
    const int lane = threadIdx.x % 32;
    for (int base = threadIdx.x / 32 * 32; base < experts; base += kThreads)
    {
        int before = 0;
        for (int e = lane; e < base; e += 32)
        {
            before += tiles_of(e);
        }

        const int own = tiles_of(base + lane);
        int sum = own;
#pragma unroll
        for (int i = 1; i < 32; i *= 2)
        {
            const int up = __shfl_up_sync(~0u, sum, i);
            sum += lane >= i ? up : 0;
        }

        sum += base > 0 ? (int)__reduce_add_sync(~0u, (u32)before) : 0;
        if (base + lane < experts)
        {
            prefix[base + lane] = sum - own;
        }

        if (base + lane == experts - 1)
        {
            prefix[experts] = sum;
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
    template <int kRows, int kMostExperts>
    __device__ __forceinline__ void wait_for_rows(const ProductCounters& counters, const TileScheduler<kRows, kMostExperts>& schedule, const Tile& next,
                                                  int rows_of_first)
    {
        if (!kFirst && next.expert != expert)
        {
            expert = next.expert;
            counters.wait_stored(expert, schedule.token_tiles(expert) * ceil_div(rows_of_first, kRows));
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
