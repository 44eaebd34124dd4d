// The tiles of the stream of weights (mxfp4_stream.cuh): what a tile is, and which one has a number.
//
// All tiles are one list, the first product's before the second's, and every block draws each of its tiles from it by a ticket, its first one too. So
// whoever waits, waits for tiles that running blocks have drawn: blocks need not all be there at once. The thread that draws finds the tile in the list, and
// hands the others what they have to know of it.
//
// Shared experts are one expert more, whose tiles of the first product need nothing of the router: the first of all.
//
// One token has so few tiles that blocks would end a whole tile apart. So the last experts' tiles of the second product come in halves of their depth then,
// each with results of its own, which the combine adds.
//
// An expert has at most as many pairs as there are tokens, unless a token names it twice: then it is in the list several times.
#pragma once
#include "formats/mxfp4.cuh"
#include "routing/sort.cuh"
#include "scheduler/tile_scheduler.cuh"

/// A tile, as one thread of a block finds it and hands it to the others.
struct alignas(16) StreamTile
{
    int row;     // of its weights, the first; less than 0: there are no more tiles
    u32 kind;    // of kFirst, kShared and kShort, and its steps of 64 inputs · kSteps and the stages before them · kBefore
    int expert;  // and boxes of it · 65536; of routed experts
    u32 pairs;   // the first sorted pair · 16 + their number

    static constexpr u32 kFirst = 1, kShared = 2, kShort = 4, kSteps = 8, kBefore = 1 << 16;
    static constexpr u32 kStageSteps = 8;   // of a stage
    static constexpr u32 kShortStages = 2;  // a tile of so many stages is one warpgroup's alone: the ring has room for three of them

    __device__ __forceinline__ bool is_there() const { return row >= 0; }
    __device__ __forceinline__ bool is_first() const { return kind & kFirst; }
    __device__ __forceinline__ bool is_shared() const { return kind & kShared; }
    __device__ __forceinline__ bool is_short() const { return kind & kShort; }
    __device__ __forceinline__ int number() const { return expert & 0xffff; }
    __device__ __forceinline__ u32 first() const { return pairs / 16; }
    __device__ __forceinline__ u32 count() const { return pairs % 16; }
    __device__ __forceinline__ int steps() const { return kind % kBefore / kSteps; }
    __device__ __forceinline__ int stages() const { return (kind % kBefore + kSteps * (kStageSteps - 1)) / (kSteps * kStageSteps); }

    /// Of the inner dimension, before the tile's own.
    __device__ __forceinline__ int stages_before() const { return kind / kBefore; }
    __device__ __forceinline__ bool is_second_half() const { return kind >= kBefore; }
};

using StreamTiles = TileSlots<StreamTile, u32>;

/// All tiles of both products: those of one expert are neighbours. Only experts with pairs are in the table, once for each box of them. Who asks for tiles
/// asks in rising order. With shared experts their tiles are the first ones of each product: those of the first need nothing of the table.
template <typename TParameters>
struct StreamList
{
    const int2* active;  // {expert + boxes of it · 65536, its first sorted pair · 16 + its pairs}, in shared memory
    const TParameters& q;

    static constexpr int kMostExperts = 512, kBytes = (kMostExperts + 2) * 8;  // whole 16 bytes

    __device__ __forceinline__ StreamList(const int2* table, const TParameters& parameters) : active(table), q(parameters) {}

    /// One warp makes the table, when the offsets have come; the number of its entries stands behind its last place.
    static __device__ __forceinline__ void prepare(int2* active, const u32* early_offsets, int experts, int columns)
    {
        constexpr int kAtOnce = 8;
        const int lane = threadIdx.x % 32;
        int count = 0;
#pragma unroll 1
        for (int base = 0; base < experts; base += 32 * kAtOnce)
        {
            int begin[kAtOnce + 1];
            bool lacks;
            do
            {
                lacks = false;
#pragma unroll
                for (int i = 0; i <= kAtOnce; i++)
                {
                    begin[i] = load_relaxed_if(base + 32 * i + lane <= experts, early_offsets + base + lane + 32 * i);
                    lacks |= begin[i] == (int)kNoOffset;
                }
            } while (__ballot_sync(~0u, lacks) != 0);

#pragma unroll
            for (int i = 0; i < kAtOnce; i++)
            {
                if (base + 32 * i >= experts)
                {
                    break;
                }

                // The next expert's begin, which is the next lane's.
                const int own_end = __shfl_sync(~0u, begin[i], (lane + 1) % 32), last_end = __shfl_sync(~0u, begin[i + 1], 0), end = lane == 31 ? last_end : own_end;
                int boxes = end > begin[i];
                if (end - begin[i] > columns)
                {
                    boxes = ceil_div(end - begin[i], columns);
                }

#pragma unroll 1
                for (int box = 0;; box++)
                {
                    const u32 others = __ballot_sync(~0u, box < boxes);
                    if (others == 0)
                    {
                        break;
                    }

                    const int first = begin[i] + box * columns;
                    if (box < boxes)
                    {
                        active[count + __popc(others & ((1u << lane) - 1))] = make_int2(base + 32 * i + lane + (boxes << 16), first * 16 + min(end - first, columns));
                    }

                    count += __popc(others);
                }
            }
        }

        if (lane == 0)
        {
            active[kMostExperts].x = count;
        }
    }

    /// An expert's tiles of a product.
    __device__ __forceinline__ int first_stripes() const { return ceil_div(q.first.rows, kBandRows); }
    __device__ __forceinline__ int second_stripes() const { return ceil_div(q.second.rows, kBandRows); }

    /// Shared experts' tiles of a product.
    __device__ __forceinline__ int shared_firsts() const { return q.shared_first.rows / kBandRows; }
    __device__ __forceinline__ int shared_seconds() const { return q.shared_second.rows / kBandRows; }

    /// All of them.
    __device__ __forceinline__ int tiles() const
    {
        int all = active[kMostExperts].x * (first_stripes() + second_stripes()) + min(q.halved, active[kMostExperts].x) * second_stripes();
        if constexpr (TParameters::kHasShared)
        {
            all += shared_firsts() + shared_seconds();
        }

        return all;
    }

    /// A tile of shared experts.
    static __device__ __forceinline__ StreamTile shared_tile(int number, bool is_first, int stages, int columns)
    {
        const u32 steps = stages * StreamTile::kStageSteps;
        return {number * kBandRows, (is_first ? StreamTile::kFirst : 0) + StreamTile::kShared + steps * StreamTile::kSteps, 0, (u32)columns};
    }

    /// What find goes by, for one thread draws all of a block's tiles, and of short ones it has little time: where it is in the list, and what is the same for
    /// all tiles there. When the table has been made.
    __device__ __forceinline__ void open()
    {
        count = active[kMostExperts].x;
        open_product(true, 0);
    }

    /// The tile of a number that is no shared expert's first product's. `shared_stages`: of the second product's tiles of shared experts.
    __device__ __forceinline__ StreamTile find(int number, int shared_stages)
    {
        constexpr StreamTile kNone = {-1, 0, 0, 0};
        if constexpr (TParameters::kHasShared)
        {
            number -= shared_firsts();
        }

        if (is_first && number - begin >= entry_tiles && number >= count * stripes)
        {
            open_product(false, count * stripes);
        }

        if constexpr (TParameters::kHasShared)
        {
            if (!is_first && number - begin < shared_seconds() && place == 0)
            {
                return shared_tile(number - begin, false, shared_stages, q.columns);
            }

            number -= is_first ? 0 : shared_seconds();
        }

        if (place >= count)
        {
            return kNone;
        }

        // No division: a number lies few entries behind the one before.
        while (number - begin >= entry_tiles)
        {
            begin += entry_tiles;
            if (++place == count)
            {
                return kNone;
            }

            open_entry();
        }

        const int local = number - begin;
        if (place < whole)
        {
            return {local * kBandRows, kind, own.x, (u32)own.y};
        }

        // The first half of the stages, or the others.
        const u32 steps = kind / StreamTile::kSteps, stages = ceil_div(ceil_div(steps, StreamTile::kStageSteps), 2u);
        const u32 first = stages * StreamTile::kStageSteps * StreamTile::kSteps;
        return {local / 2 * kBandRows, local % 2 == 0 ? first : stages * StreamTile::kBefore + kind - first, own.x, (u32)own.y};
    }

    /// The first weights of the tile that was found last, of routed experts.
    __device__ __forceinline__ const char* weights_of(const StreamTile& tile) const
    {
        return weights + (u32)(tile.row / kBandRows) * stripe_bytes + tile.stages_before() * (StreamTile::kStageSteps * kStepBytes);
    }

private:
    static constexpr int kStepBytes = kBandGroups * kGroupBytes;

    int count;             // entries of the table
    bool is_first;         // the product
    int stripes, whole;    // of the product: an expert's tiles of 64 rows; entries whose tiles are whole
    u32 stripe_bytes;
    u32 kind;              // of whole tiles
    int place, begin;      // the entry, and its first tile's number
    int entry_tiles;       // of the entry
    int2 own;              // it
    const char* weights;   // its expert's

    __device__ __forceinline__ void open_product(bool first, int number)
    {
        is_first = first;
        begin = number;
        stripes = first ? first_stripes() : second_stripes();
        const u32 steps = ceil_div((first ? q.first : q.second).depth, kGroupDepth);
        const bool is_short = steps <= StreamTile::kShortStages * StreamTile::kStageSteps;
        kind = (first ? StreamTile::kFirst : 0) + (is_short ? StreamTile::kShort : 0) + steps * StreamTile::kSteps;
        stripe_bytes = steps * kStepBytes;
        whole = first ? count : count - q.halved;
        place = 0;
        open_entry();
    }

    __device__ __forceinline__ void open_entry()
    {
        own = active[place];
        entry_tiles = place < whole ? stripes : place < count ? 2 * stripes : 0;
        weights = (is_first ? q.first : q.second).weights + (u64)(u32)(own.x & 0xffff) * (u32)(stripes * stripe_bytes);
    }
};
