// Both products of an MXFP4 mixture-of-experts layer for up to 8 tokens in one launch, on sm_90a, as one stream of weights.
//
// One block a multiprocessor. Its four warpgroups share each tile of 64 weight rows: each multiplies two of the eight steps of every stage, and the sums
// meet in shared memory, in the warpgroups' order. So a tile takes an SM a few microseconds, the SMs go through the experts one after the other, and an
// expert is finished long before its tiles of the second product come: memory never waits for the end of the first.
//
// All tiles are one list, the first product's before the second's, and every block draws each of its tiles from it by a ticket, its first one too. So
// whoever waits, waits for tiles that running blocks have drawn: blocks need not all be there at once.
//
// One thread brings the weights, a stage of 17 KB in one copy, and waits for nothing but room; another brings the tokens, and waits for experts; a third
// counts what has been stored. Which steps of a tile a warpgroup multiplies is the same whatever came before, so results are the same bit for bit. The sums
// of a tile are added and stored by one warpgroup, the next tile's by the next one, while the others go on. It does so when it has begun with the next
// tile: else each tile's end would wait for that of the tile before, for who stores that one is late.
//
// No rows are brought into order before: the tokens are one box, whose columns every tile multiplies. The epilogue of the first product stores the columns
// of its expert's pairs; the second product reads them in the pairs' order. A box has as many rows as there are tokens, for what is read beyond them comes
// from L2 like everything else; what lies in the other columns is anything, and is not stored. An expert has at most as many pairs, unless a token names it
// twice: then it is in the list several times.
#pragma once
#include "impls/mxfp4_grouped.cuh"
#include "routing/sort.cuh"

/// One of the two products.
struct StreamProduct
{
    const char* weights;  // mxfp4.cuh
    const float* bias;    // [experts, rows], or null
    const float* factor;  // [experts, rows], or null where all are 1
    u16* out;             // first: BF16 [sorted pairs, out_stride]; second: BF16 [pairs, out_stride], without router weight
    i64 out_stride;       // elements, a multiple of 8
    int rows;             // first: 2 · intermediate; second: hidden; a multiple of 16
    int depth;            // inner dimension, a multiple of 64
};

struct Mxfp4StreamParameters
{
    TensorMap tokens;           // BF16 {64, tokens, depth / 64} of the first product, box {64, columns, kStageSteps}, 128-byte swizzle
    TensorMap act;              // the first product's results, likewise
    StreamProduct first, second;
    const u32* early_offsets;   // [experts + 1]: of SortTarget, which the launch before may still be writing
    const int* sorted_pairs;    // [pairs], a pair is token · top_k + k
    ProductCounters counters;   // 0 before
    int* ticket;                // 0 before the first launch; each launch leaves 0
    int experts;                // at most StreamList::kMostExperts
    int top_k;
    int columns;                // tokens, 1 to 8
    Activation activation;
};

/// All tiles of both products: those of one expert are neighbours. Only experts with pairs are in the table, once for each box of them. Who asks for tiles
/// asks in rising order.
struct StreamList
{
    const int2* active;  // {expert + boxes of it · 65536, its first sorted pair · 16 + its pairs}, in shared memory
    int first_stripes, second_stripes;

    static constexpr int kMostExperts = 512, kBytes = (kMostExperts + 1) * 8;

    /// One warp makes the table, when the offsets have come; the number of its entries stands behind its last place.
    static __device__ __forceinline__ void prepare(int2* active, const u32* early_offsets, int experts, int columns)
    {
        constexpr int kAtOnce = 4;
        const int lane = threadIdx.x % 32;
        int count = 0;
#pragma unroll 1
        for (int base = 0; base < experts; base += 32 * kAtOnce)
        {
            int begin[kAtOnce], end[kAtOnce];
            bool lacks;
            do
            {
                lacks = false;
#pragma unroll
                for (int i = 0; i < kAtOnce; i++)
                {
                    const int e = base + 32 * i + lane;
                    const bool exists = base + 32 * i < experts;
                    begin[i] = load_relaxed_if(exists, early_offsets + min(e, experts));
                    end[i] = load_relaxed_if(exists, early_offsets + min(e + 1, experts));
                    lacks |= begin[i] == (int)kNoOffset || end[i] == (int)kNoOffset;
                }
            } while (__ballot_sync(~0u, lacks) != 0);

#pragma unroll
            for (int i = 0; i < kAtOnce; i++)
            {
                if (base + 32 * i >= experts)
                {
                    break;
                }

                int boxes = end[i] > begin[i];
                if (end[i] - begin[i] > columns)
                {
                    boxes = ceil_div(end[i] - begin[i], columns);
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
                        active[count + __popc(others & ((1u << lane) - 1))] = make_int2(base + 32 * i + lane + (boxes << 16), first * 16 + min(end[i] - first, columns));
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

    /// All of them.
    __device__ __forceinline__ int tiles() const
    {
        return active[kMostExperts].x * (first_stripes + second_stripes);
    }

    /// Of the tile that was found last: how many tiles of the first product its expert has.
    int firsts_of_expert = 0;
    int place = 0, begin = 0;  // its entry of the table, and the number of that entry's first tile
    bool is_first = true;      // whether it is one of the first product

    /// Whether there is such a tile.
    __device__ __forceinline__ bool find(Tile& t, int number)
    {
        const int count = active[kMostExperts].x, firsts = count * first_stripes;
        if (is_first && number >= firsts)
        {
            is_first = false;
            place = 0;
            begin = firsts;
        }

        // No division: a number lies few entries behind the one before.
        const int tiles = is_first ? first_stripes : second_stripes;
        while (number - begin >= tiles)
        {
            begin += tiles;
            if (++place == count)
            {
                return false;
            }
        }

        if (place >= count)
        {
            return false;
        }

        const int2 own = active[place];
        t.expert = own.x & 0xffff;
        firsts_of_expert = (own.x >> 16) * first_stripes;
        t.first = own.y / 16;
        t.count = own.y % 16;
        t.row0 = (number - begin) * kBandRows;
        t.part = 0;
        return true;
    }
};

/// kStages: of the ring. The others as in Mxfp4Grouped.
template <int kStages, int kGroupRegisters, int kHostSharedBytes, typename TRounding, typename TDealing = DealtForBf16>
struct Mxfp4Stream
{
    static constexpr int kGroups = 4, kSteps = 2;  // warpgroups that multiply, and a warpgroup's steps of a stage
    static constexpr int kStagesBeforeStore = 4;   // of the next tile: by then the others have mostly done with this one
    static constexpr int kColumns = 8, kThreads = 128 * (kGroups + 1), kLoaderRegisters = 40;
    static constexpr int kStageSteps = kGroups * kSteps, kStepBytes = kBandGroups * kGroupBytes;
    static constexpr int kWeightBytes = kStageSteps * kStepBytes, kTokenBytes = kStageSteps * kColumns * kGroupDepth * 2;
    static constexpr int kOutBytes = 2048, kSumBytes = (kGroups - 1) * kColumns * kBandRows * 4;  // a warpgroup's results, and the others' sums of its tile
    static constexpr int kWeightBase = kStages * kTokenBytes, kOutBase = kWeightBase + kStages * kWeightBytes;
    static constexpr int kSumBase = kOutBase + kGroups * kOutBytes, kListBase = kSumBase + kGroups * kSumBytes;
    static constexpr int kPairsBase = kListBase + StreamList::kBytes;
    static constexpr int kBarrierBase = kPairsBase + kGroups * kColumns * 4, kSumBarrierBase = kBarrierBase + 2 * kStages * 8;
    static constexpr int kNumbersBase = kSumBarrierBase + 2 * kGroups * 8;
    static constexpr int kSharedBytes = kNumbersBase + kNumberBytes + 1024;  // 1024: to align the stages
    static constexpr int kRoundingBytes = TRounding::shared_bytes(kGroups, kOutBytes / 64);
    static_assert(kSharedBytes == kHostSharedBytes && kSharedBytes <= 232448, "what the host asks for, and what a block may have");
    static_assert(kSharedBytes + kRoundingBytes + 1024 <= 233472, "a multiprocessor has room for the block");
    static_assert(kWeightBytes % 1024 == 0 && kStages + kGroups + 2 < kNumberSlots, "who draws is never further ahead of the readers");
    static_assert(kLoaderRegisters + kGroups * kGroupRegisters <= 65536 / kThreads / 8 * 8 * (kGroups + 1),
                  "a launch takes even shares of the registers; raising to more than is given back would wait for ever");

    using Ring = StageRing<kStages>;

    /// Steps of 64 inputs of a product.
    static __device__ __forceinline__ int steps_of(const Mxfp4StreamParameters& q, bool is_first)
    {
        return ceil_div(is_first ? q.first.depth : q.second.depth, kGroupDepth);
    }

    /// Draws the tiles and brings their weights, which wait for nothing but room. One warp, of which one thread does so. It begins before the launch before
    /// is done, with the experts that it has chosen: weights are older than both.
    static __device__ __forceinline__ Probe load_weights(const Mxfp4StreamParameters& q, StreamList list, int2* active, TileNumbers numbers, u32 shared)
    {
        Probe probe;  // mark: first weights asked for; sum: waits for empty stages
        probe.begin();
        int number = threadIdx.x % 32 == 0 ? atomicAdd(q.ticket, 1) : 0;
        StreamList::prepare(active, q.early_offsets, q.experts, q.columns);
        __syncwarp();
        if (threadIdx.x % 32 != 0)
        {
            return probe;
        }

        const u64 policy = policy_evict_first();
        Ring ring = {0, 1};
        Tile tile;
        while (list.find(tile, number))
        {
            numbers.hand_out(number);
            numbers.taken++;
            const StreamProduct& p = list.is_first ? q.first : q.second;
            const int steps = steps_of(q, list.is_first);
            const int stages = ceil_div(steps, kStageSteps);
            const char* from = p.weights + tile.expert * expert_bytes(p.rows, steps) + (i64)(tile.row0 / kBandRows) * steps * kStepBytes;
#pragma unroll 1
            for (int i = 0; i < stages; i++)
            {
                if (i == stages - 1)
                {
                    // The answer comes while the last stage is waited for. Not sooner: whoever is slower shall leave tiles to others.
                    number = atomicAdd(q.ticket, 1);
                }

                const u32 full = shared + kBarrierBase + ring.stage * 8, bytes = min(steps - i * kStageSteps, kStageSteps) * kStepBytes;
                probe.from();
                mbarrier_wait(full + kStages * 8, ring.phase);
                probe.add(0);
                probe.mark(0);
                mbarrier_arrive_expect(full, bytes);
                bulk_load(shared + kWeightBase + ring.stage * kWeightBytes, from, bytes, full, policy);
                from += kWeightBytes;
                ring.advance();
            }

            probe.tile();
        }

        numbers.hand_out(number);

        // Whoever draws the last number of all leaves the ticket as it was. The next launch begins only when all blocks have drawn their last.
        if (number == list.tiles() + (int)gridDim.x - 1)
        {
            store_relaxed((u32*)q.ticket, 0);
            __threadfence();
        }

        wait_for_previous_launch();
        allow_next_launch();
        return probe;
    }

    /// Brings the tokens of all tiles: those of the second product when the first has finished their expert. One thread.
    static __device__ __forceinline__ Probe load_tokens(const Mxfp4StreamParameters& q, StreamList list, TileNumbers numbers, u32 shared)
    {
        const u32 bytes = kStageSteps * q.columns * kGroupDepth * 2;
        Ring ring = {0, 1};
        int complete = -1;
        Tile tile;
        Probe probe;  // marks: first tokens asked for, first tile of the second product; sums: waits for empty stages, for experts, for tiles' numbers
        probe.begin();
        wait_for_previous_launch();
        while (true)
        {
            probe.from();
            const int number = numbers.take();
            probe.add(2);
            if (!list.find(tile, number))
            {
                return probe;
            }

            const TensorMap* const rows = list.is_first ? &q.tokens : &q.act;
            const int stages = ceil_div(steps_of(q, list.is_first), kStageSteps);
            const int row = list.is_first ? 0 : tile.first;
            if (!list.is_first && tile.expert != complete)
            {
                complete = tile.expert;
                probe.mark(1);
                probe.from();
                q.counters.wait_stored(complete, list.firsts_of_expert);
                probe.add(1);
            }

#pragma unroll 1
            for (int i = 0; i < stages; i++)
            {
                const u32 full = shared + kBarrierBase + ring.stage * 8;
                probe.from();
                mbarrier_wait(full + kStages * 8, ring.phase);
                probe.add(0);
                probe.mark(0);
                mbarrier_arrive_expect(full, bytes);
                tma_load_3d(shared + ring.stage * kTokenBytes, rows, full, 0, row, i * kStageSteps);
                ring.advance();
            }

            probe.tile();
        }
    }

    /// Counts the tiles of the first product that have been stored. One thread: it takes a microsecond, which those that multiply do not have.
    static __device__ __forceinline__ void count_stored(const Mxfp4StreamParameters& q, StreamList list, TileNumbers numbers)
    {
        wait_for_previous_launch();
        Tile tile;
        for (int index = 0; list.find(tile, numbers.take()) && list.is_first; index++)
        {
            numbers.wait_stored(index);
            q.counters.add_stored(tile.expert);
        }
    }

    /// Each warp multiplies 16 rows by itself, with the matrix instruction of a warp: that of a warpgroup takes its rows out of registers in 16 cycles, however
    /// few columns there are.
    /// `place`: which of the warpgroups' shares of a stage is this one's. `left`: steps of 64 inputs from the first stage to the inner dimension's end.
    static __device__ __forceinline__ void accumulate(float (&d)[kColumns / 2], Ring& ring, u32 shared, int place, int columns, int& left, int stages, Probe& probe)
    {
        const int lane = threadIdx.x % 32, first_step = place * kSteps;
        const u32 own = threadIdx.x % 128 / 32 * kGroupBytes;
        // Rows of 128 bytes, swizzled: lane 8j + r gives row r of inputs 8j … 8j + 7. Bit 6 leads to those 32 inputs further.
        u32 rows[kSteps];
#pragma unroll
        for (int step = 0; step < kSteps; step++)
        {
            const int row = (first_step + step) * columns + lane % 8;
            rows[step] = row * 128 + (lane / 8 ^ row % 8) * 16;
        }

        float odd[4] = {};
#pragma unroll 1
        for (int i = 0; i < stages; i++)
        {
            const u32 full = shared + kBarrierBase + ring.stage * 8, weights = shared + kWeightBase + ring.stage * kWeightBytes + own;
            const u32 tokens = shared + ring.stage * kTokenBytes;
            probe.from();
            mbarrier_wait(full, ring.phase);
            probe.add(0);
            probe.mark(0);
            PackedStep packed[kSteps];
            u32 b[kSteps][2][4];
#pragma unroll
            for (int step = 0; step < kSteps; step++)
            {
                // Beyond the inner dimension the tokens are 0, and any weights will do.
                packed[step] = load_step(weights + min(first_step + step, left - 1) * kStepBytes);
                load_matrix_x4(b[step][0], tokens + rows[step]);
                load_matrix_x4(b[step][1], tokens + (rows[step] ^ 64));
            }

#pragma unroll
            for (int step = 0; step < kSteps; step++)
            {
                u32 a[4][4];
                widen_step<TDealing>(a, packed[step]);
#pragma unroll
                for (int k = 0; k < 4; k++)
                {
                    const u32* columns_of = b[step][k / 2] + k % 2 * 2;
                    mma_bf16(k % 2 == 0 ? d : odd, a[k][0], a[k][1], a[k][2], a[k][3], columns_of[0], columns_of[1]);
                }
            }

            left -= kStageSteps;
            ring.advance();
            __syncwarp();
            if (lane == 0)
            {
                mbarrier_arrive(full + kStages * 8);
            }
        }

#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            d[i] += odd[i];
        }
    }

    /// A tile that this warpgroup has still to store.
    struct Pending
    {
        Tile rows;
        int index;  // of the block's tiles
        bool is_first;
        float d[kColumns / 2];
        float2 bias;
    };

    static __device__ __forceinline__ float4* sums_for(char* shared, int storing, int group)
    {
        return (float4*)(shared + kSumBase + storing * kSumBytes) + ((group - storing - 1) & (kGroups - 1)) * (kColumns * kBandRows / 4) + threadIdx.x % 128;
    }

    /// Hands this warpgroup's sums to the one that stores the tile.
    static __device__ __forceinline__ void hand_over(const float (&d)[kColumns / 2], char* shared, u32 barriers, int storing, int group, int use)
    {
        const u32 full = barriers + storing * 8;
        mbarrier_wait(full + kGroups * 8, (use & 1) ^ 1);
        *sums_for(shared, storing, group) = make_float4(d[0], d[1], d[2], d[3]);
        __syncwarp();
        if (threadIdx.x % 32 == 0)
        {
            mbarrier_arrive(full);
        }
    }

    /// Adds the warpgroups' sums of a tile, in the warpgroups' order.
    static __device__ __forceinline__ void add_up(float (&d)[kColumns / 2], char* shared, u32 barriers, int group, int use)
    {
        const u32 full = barriers + group * 8;
        mbarrier_wait(full, use & 1);
        float sum[4] = {};
#pragma unroll
        for (int g = 0; g < kGroups; g++)
        {
            const float4 other = g == group ? make_float4(d[0], d[1], d[2], d[3]) : *sums_for(shared, group, g);
            sum[0] += other.x;
            sum[1] += other.y;
            sum[2] += other.z;
            sum[3] += other.w;
        }

        __syncwarp();
        if (threadIdx.x % 32 == 0)
        {
            mbarrier_arrive(full + kGroups * 8);
        }

#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            d[i] = sum[i];
        }
    }

    static __device__ __forceinline__ void store(const Mxfp4StreamParameters& q, Pending& tile, char* shared, int group, TileNumbers numbers, int* pairs, Probe& probe)
    {
        probe.from();
        add_up(tile.d, shared, shared_address(shared) + kSumBarrierBase, group, tile.index / kGroups);
        probe.add(1);
        probe.from();
        char* staged = shared + kOutBase + group * kOutBytes;
        if (tile.is_first)
        {
            const StreamProduct& p = q.first;
            store_act<kColumns, kOutBytes, true>(q.activation, tile.rows, tile.d, staged, group, tile.bias, p.factor, p.rows / 2, p.out, p.out_stride,
                                                 TRounding::template of<kGroups, kOutBytes / 64>(group), pairs, q.top_k);
            numbers.taken = tile.index;
            numbers.arrive_stored();
        }
        else
        {
            const StreamProduct& p = q.second;
            store_pairs<kColumns, kOutBytes>(tile.rows, tile.d, staged, group, tile.bias, p.factor, p.rows, pairs, p.out, p.out_stride);
        }

        probe.add(2);
    }

    static __device__ __forceinline__ Probe compute_tiles(const Mxfp4StreamParameters& q, StreamList list, TileNumbers numbers, char* shared)
    {
        const u32 base = shared_address(shared), sum_barriers = base + kSumBarrierBase;
        const int group = __shfl_sync(~0u, threadIdx.x / 128, 0);
        int* pairs = (int*)(shared + kPairsBase) + group * kColumns;
        Ring ring = {0, 0};
        Tile tile;
        bool is_pending = false;
        Pending pending = {};
        Probe probe;  // marks: first stage full, first tile of the second product; sums: waits for full stages, for others' sums, ways out
        probe.begin();
        wait_for_previous_launch();
        for (int index = 0;; index++)
        {
            const bool is_there = list.find(tile, numbers.take()), is_first = list.is_first;
            const int storing = index % kGroups;
            int left = 0, steps = 0, place = 0;
            float d[kColumns / 2] = {};
            float2 bias = make_float2(0, 0);
            if (is_there)
            {
                // What the compiler knows to be the same in all lanes makes the ring's addresses so.
                steps = steps_of(q, is_first);
                left = __reduce_max_sync(~0u, ceil_div(steps, kStageSteps));
                place = (group + tile.row0 / kBandRows) % kGroups;
                if (storing == group)
                {
                    // All of the tile's rows are this warpgroup's, whichever it is.
                    Tile rows = tile;
                    rows.row0 -= group * kBandRows;
                    bias = is_first ? act_bias(rows, group, q.first.bias, q.first.rows / 2) : pair_bias(rows, group, q.second.bias, q.second.rows);
                    fetch_pairs(rows, q.sorted_pairs, pairs);
                }

                if (!is_first)
                {
                    probe.mark(1);
                }
            }

            // What a tile of the second product waits for may be the tile that is pending.
            int now = !is_pending ? left : pending.is_first && !is_first ? 0 : min(left, kStagesBeforeStore);
#pragma unroll 1
            while (true)
            {
                accumulate(d, ring, base, place, q.columns, steps, now, probe);
                left -= now;
                now = left;
                if (is_pending)
                {
                    store(q, pending, shared, group, numbers, pairs, probe);
                    is_pending = false;
                }

                if (left == 0)
                {
                    break;
                }
            }

            if (!is_there)
            {
                break;
            }

            probe.tile();
            if (storing != group)
            {
                hand_over(d, shared, sum_barriers, storing, group, index / kGroups);
                continue;
            }

            pending.rows = tile;
            pending.rows.row0 -= group * kBandRows;
            pending.index = index;
            pending.is_first = is_first;
            pending.bias = bias;
#pragma unroll
            for (int i = 0; i < kColumns / 2; i++)
            {
                pending.d[i] = d[i];
            }

            is_pending = true;
        }

        return probe;
    }

    static __device__ __forceinline__ void run(const Mxfp4StreamParameters& q)
    {
        extern __shared__ char unaligned[];
        char* shared = unaligned + (1024 - shared_address(unaligned) % 1024) % 1024;
        const u32 base = shared_address(shared), barriers = base + kBarrierBase, sums = base + kSumBarrierBase;
        int2* const active = (int2*)(shared + kListBase);
        const TileNumbers numbers = TileNumbers::at(shared + kNumbersBase);
        const StreamList list = {active, ceil_div(q.first.rows, kBandRows), ceil_div(q.second.rows, kBandRows)};
        if (threadIdx.x == 0)
        {
            tma_prefetch_map(&q.tokens);
            tma_prefetch_map(&q.act);
            for (int i = 0; i < kStages; i++)
            {
                mbarrier_init(barriers + i * 8, 2);
                mbarrier_init(barriers + (kStages + i) * 8, kGroups * 4);
            }

            for (int i = 0; i < kGroups; i++)
            {
                mbarrier_init(sums + i * 8, (kGroups - 1) * 4);
                mbarrier_init(sums + (kGroups + i) * 8, 4);
            }

            numbers.init(4);
            mbarrier_fence_init();
        }

        // All of this is done while the launch before still runs.
        __syncthreads();
        if (threadIdx.x < kGroups * 128)
        {
            registers_raise<kGroupRegisters>();
            const Probe probe = compute_tiles(q, list, numbers, shared);
            if (threadIdx.x % 128 == 0)
            {
                probe.leave(0, threadIdx.x / 128);
            }

            return;
        }

        registers_lower<kLoaderRegisters>();
        const int role = threadIdx.x / 32 - kGroups * 4;
        if (role == 0)
        {
            const Probe probe = load_weights(q, list, active, numbers, base);
            if (threadIdx.x % 32 == 0)
            {
                probe.leave(0, kGroups);
            }
        }
        else if (role == 1 && threadIdx.x % 32 == 0)
        {
            load_tokens(q, list, numbers, base).leave(0, kGroups + 1);
        }
        else if (role == 2 && threadIdx.x % 32 == 0)
        {
            count_stored(q, list, numbers);
        }
    }
};

template <int kStages, int kGroupRegisters, int kSharedBytes, typename TRounding, typename TDealing = DealtForBf16>
__global__ void __launch_bounds__(640, 1) moe_mxfp4_stream(const __grid_constant__ Mxfp4StreamParameters q)
{
    Mxfp4Stream<kStages, kGroupRegisters, kSharedBytes, TRounding, TDealing>::run(q);
}
