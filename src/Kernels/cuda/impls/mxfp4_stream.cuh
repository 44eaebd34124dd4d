// Both products of an MXFP4 mixture-of-experts layer for up to 8 tokens in one launch, on sm_90a, as one stream of weights.
//
// One block a multiprocessor. Its warpgroups share each tile of 64 weight rows: warpgroup g multiplies the stages g, g + kGroups … of the tile's inner
// dimension, and the sums meet in shared memory, in the warpgroups' order. So a tile takes an SM a few microseconds, the SMs go through the experts one
// after the other, and an expert is finished long before its tiles of the second product come: memory never waits for the end of the first.
//
// All tiles are one list, the first product's before the second's, and every block draws each of its tiles from it by a ticket, its first one too. So
// whoever waits, waits for tiles that running blocks have drawn: blocks need not all be there at once.
//
// Each warpgroup has a ring of stages of its own and a thread that fills it. Which stages of a tile it multiplies is the same whatever came before, so
// results are the same bit for bit. The sums of a tile are added and stored by one warpgroup, the next tile's by the next one, while the others go on. It
// does so when it has begun with the next tile: else each tile's end would wait for that of the tile before, for who stores that one is late.
//
// No rows are brought into order before: the tokens are one box, whose columns every tile multiplies. The epilogue of the first product stores the columns
// of its expert's pairs; the second product reads them in the pairs' order. A box has as many rows as there are tokens, for what is read beyond them comes
// from L2 like everything else; what lies in the other columns is anything, and is not stored. An expert has at most as many pairs, unless a token names it
// twice: then it is in the list several times.
#pragma once
#include "impls/mxfp4_grouped.cuh"

struct Mxfp4StreamParameters
{
    Mxfp4GroupedParameters first;   // narrow: BF16 {depth, tokens}, the tokens themselves, box {64, columns}
    Mxfp4GroupedParameters second;  // narrow: the first's results, with the same box
};

/// All tiles of both products: those of one expert are neighbours. Only experts with pairs are in the table, once for each box of them.
struct StreamList
{
    const int2* active;  // {expert + boxes of it · 65536, its first sorted pair · 16 + its pairs}, in shared memory
    int count;           // of them
    int first_stripes, second_stripes, parts;

    static constexpr int kMostExperts = 512, kBytes = (kMostExperts + 1) * 8;

    /// One warp makes the table; the number of its entries stands behind its last place.
    static __device__ __forceinline__ void prepare(int2* active, const int* expert_offsets, int experts, int columns)
    {
        constexpr int kAtOnce = 4;
        const int lane = threadIdx.x % 32;
        int count = 0;
#pragma unroll 1
        for (int base = 0; base < experts; base += 32 * kAtOnce)
        {
            int begin[kAtOnce], end[kAtOnce];
#pragma unroll
            for (int i = 0; i < kAtOnce; i++)
            {
                const int e = base + 32 * i + lane;
                begin[i] = load_coherent(expert_offsets + min(e, experts));
                end[i] = load_coherent(expert_offsets + min(e + 1, experts));
            }

#pragma unroll
            for (int i = 0; i < kAtOnce; i++)
            {
                const int boxes = ceil_div(end[i] - begin[i], columns);
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

    /// Tiles of the first product that an expert has: it is the expert of the tile that was found last.
    int firsts_of_expert;

    /// Whether there is such a tile.
    __device__ __forceinline__ bool find(Tile& t, int number, bool& is_first)
    {
        const int firsts = count * first_stripes, units = second_stripes * parts;
        is_first = number < firsts;
        const int local = is_first ? number : number - firsts, per_expert = is_first ? first_stripes : units;
        const int place = local / per_expert, unit = local - place * per_expert;
        if (place >= count)
        {
            return false;
        }

        const int2 own = active[place];
        t.expert = own.x & 0xffff;
        firsts_of_expert = (own.x >> 16) * first_stripes;
        t.first = own.y / 16;
        t.count = own.y % 16;
        const int stripe = is_first ? unit : unit / parts;
        t.row0 = stripe * kBandRows;
        t.part = is_first ? 0 : unit - stripe * parts;
        return true;
    }
};

/// kGroups: warpgroups that multiply. kStages: of each. The others as in Mxfp4Grouped.
template <int kGroups, int kSteps, int kStages, int kGroupRegisters, int kHostSharedBytes, typename TRounding>
struct Mxfp4Stream
{
    static constexpr int kColumns = 8, kThreads = 128 * (kGroups + 1), kLoaderRegisters = 40;
    static constexpr int kStepBytes = kColumns * kGroupDepth * 2, kTokenBytes = kSteps * kStepBytes;
    static constexpr int kWeightBytes = kSteps * kBandGroups * kGroupBytes;
    static constexpr int kSlots = kGroups * kStages;
    static constexpr int kOutBytes = 2048, kSumBytes = (kGroups - 1) * kColumns * kBandRows * 4;  // a warpgroup's results, and the others' sums of its tile
    static constexpr int kWeightBase = kSlots * kTokenBytes, kOutBase = kWeightBase + kSlots * kWeightBytes;
    static constexpr int kSumBase = kOutBase + kGroups * kOutBytes, kListBase = kSumBase + kGroups * kSumBytes;
    static constexpr int kStagesBeforeStore = 4;  // of the next tile: by then the others have mostly done with this one
    static constexpr int kPairsBase = kListBase + StreamList::kBytes;
    static constexpr int kBarrierBase = kPairsBase + kGroups * kColumns * 4, kSumBarrierBase = kBarrierBase + 2 * kSlots * 8;
    static constexpr int kNumbersBase = kSumBarrierBase + 2 * kGroups * 8;
    static constexpr int kSharedBytes = kNumbersBase + kNumberBytes + 1024;  // 1024: to align the stages
    static constexpr int kRoundingBytes = TRounding::shared_bytes(kGroups, kOutBytes / 64);
    static_assert(kGroups == 4, "a loading thread for each warpgroup");
    static_assert(kSharedBytes == kHostSharedBytes && kSharedBytes <= 232448, "what the host asks for, and what a block may have");
    static_assert(kSharedBytes + kRoundingBytes + 1024 <= 233472, "a multiprocessor has room for the block");
    static_assert(kSteps == 2 && kStages + kGroups + 2 < kNumberSlots, "the first loader, which draws, is never further ahead of the readers");
    static_assert(kLoaderRegisters + kGroups * kGroupRegisters <= 65536 / kThreads / 8 * 8 * (kGroups + 1),
                  "a launch takes even shares of the registers; raising to more than is given back would wait for ever");

    using Ring = StageRing<kStages>;

    /// A warpgroup's share of a tile: the stages first, first + kGroups … Whose share has a stage more than others' changes from tile to tile.
    struct Share
    {
        int first, count;

        static __device__ __forceinline__ Share of(const Mxfp4GroupedParameters& p, const Tile& tile, int parts, int group)
        {
            const int all = ceil_div(ceil_div(p.depth, kGroupDepth), kSteps);
            const int begin = all * tile.part / parts, end = all * (tile.part + 1) / parts;
            const int place = (group + tile.row0 / kBandRows + tile.part) % kGroups;
            return {begin + place, max(0, (end - begin - place + kGroups - 1) / kGroups)};
        }
    };

    /// One warpgroup's stages of a tile, by its loader. `await_rows` is called before the first tokens are asked for.
    template <bool kFirst, typename TAwaitRows, typename TBeforeLast>
    static __device__ __forceinline__ void load_tile(const Mxfp4GroupedParameters& p, const Tile& tile, Ring& ring, u32 shared, int group, Probe& probe,
                                                     const TAwaitRows& await_rows, const TBeforeLast& before_last)
    {
        const u64 policy = policy_evict_first();
        const Share own = Share::of(p, tile, kFirst ? 1 : p.parts, group);
        const int slot0 = group * kStages, band = tile.row0 / kBandRows;
        auto load_weights = [&](const Ring& at, int i) {
            const int slot = slot0 + at.stage;
            const u32 full = shared + kBarrierBase + slot * 8;
            probe.from();
            mbarrier_wait(full + kSlots * 8, at.phase);
            probe.add(0);
            probe.mark(0);
            mbarrier_arrive_expect(full, kWeightBytes + kSteps * p.columns * kGroupDepth * 2);
            tma_load_4d(shared + kWeightBase + slot * kWeightBytes, &p.weight, full, 0, (own.first + i * kGroups) * kSteps * kBandGroups, band, tile.expert, policy);
        };
        int early = 0;
        if constexpr (!kFirst)
        {
            early = min(own.count, kStages);
            Ring ahead = ring;
#pragma unroll 1
            for (int i = 0; i < early; i++)
            {
                load_weights(ahead, i);
                ahead.advance();
            }
        }

        await_rows();
#pragma unroll 1
        for (int i = 0; i < own.count; i++)
        {
            if (i == own.count - 1)
            {
                before_last();
            }

            if (i >= early)
            {
                load_weights(ring, i);
            }

            const int slot = slot0 + ring.stage;
#pragma unroll
            for (int step = 0; step < kSteps; step++)
            {
                tma_load_2d(shared + slot * kTokenBytes + step * kStepBytes, &p.narrow, shared + kBarrierBase + slot * 8,
                            ((own.first + i * kGroups) * kSteps + step) * kGroupDepth, kFirst ? 0 : tile.first);
            }

            ring.advance();
        }
    }

    /// One thread for each warpgroup; the first draws the tiles.
    static __device__ __forceinline__ Probe load_tiles(const Mxfp4StreamParameters& q, StreamList list, TileNumbers numbers, u32 shared, int group, int ticket)
    {
        const ProductCounters& counters = q.first.counters;
        Ring ring = {0, 1};
        int complete = -1;
        Tile tile;
        bool is_first;
        Probe probe;  // marks: first weights asked for, first tile of the second product; sums: waits for empty stages, for experts, for tiles' numbers
        probe.begin();
        if (group == 0)
        {
            numbers.hand_out(ticket);
        }

        while (list.find(tile, numbers.take(), is_first))
        {
            // The answer comes while the last stage is waited for. Not sooner: whoever is slower shall leave tiles to others.
            int next = 0;
            auto draw = [&] {
                if (group == 0)
                {
                    next = counters.draw_ticket();
                }
            };
            if (is_first)
            {
                load_tile<true>(q.first, tile, ring, shared, group, probe, [] {}, draw);
            }
            else
            {
                load_tile<false>(q.second, tile, ring, shared, group, probe, [&] {
                    if (tile.expert != complete)
                    {
                        complete = tile.expert;
                        probe.mark(1);
                        probe.from();
                        counters.wait_stored(complete, list.firsts_of_expert);
                        probe.add(1);
                    }
                }, draw);
            }

            probe.tile();
            if (group == 0)
            {
                probe.from();
                numbers.hand_out(next);
                probe.add(2);
            }
        }

        return probe;
    }

    /// Each warp multiplies 16 rows by itself, with the matrix instruction of a warp: that of a warpgroup takes its rows out of registers in 16 cycles, however
    /// few columns there are.
    static __device__ __forceinline__ void accumulate(float (&d)[kColumns / 2], Ring& ring, u32 shared, int group, int stages, Probe& probe)
    {
        const int lane = threadIdx.x % 32;
        const u32 own = threadIdx.x % 128 / 32 * kGroupBytes;
        // Rows of 128 bytes, swizzled: lane 8j + r gives row r of inputs 8j … 8j + 7. Bit 6 leads to those 32 inputs further.
        const u32 row = lane % 8 * 128 + (lane / 8 ^ lane % 8) * 16;
        float odd[4] = {};
#pragma unroll 1
        for (int i = 0; i < stages; i++)
        {
            const int slot = group * kStages + ring.stage;
            const u32 full = shared + kBarrierBase + slot * 8, weights = shared + kWeightBase + slot * kWeightBytes + own, tokens = shared + slot * kTokenBytes;
            probe.from();
            mbarrier_wait(full, ring.phase);
            probe.add(0);
            probe.mark(0);
            PackedStep packed[kSteps];
            u32 columns[kSteps][2][4];
#pragma unroll
            for (int step = 0; step < kSteps; step++)
            {
                packed[step] = load_step(weights + step * kBandGroups * kGroupBytes);
                load_matrix_x4(columns[step][0], tokens + step * kStepBytes + row);
                load_matrix_x4(columns[step][1], tokens + step * kStepBytes + (row ^ 64));
            }

#pragma unroll
            for (int step = 0; step < kSteps; step++)
            {
                u32 a[4][4];
                widen_step(a, packed[step]);
#pragma unroll
                for (int k = 0; k < 4; k++)
                {
                    const u32* b = columns[step][k / 2] + k % 2 * 2;
                    mma_bf16(k % 2 == 0 ? d : odd, a[k][0], a[k][1], a[k][2], a[k][3], b[0], b[1]);
                }
            }

            ring.advance();
            __syncwarp();
            if (lane == 0)
            {
                mbarrier_arrive(full + kSlots * 8);
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
        int use;  // of the warpgroup's buffer of sums
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

    static __device__ __forceinline__ void store(const Mxfp4StreamParameters& q, Pending& tile, char* shared, int group, int* pairs, Probe& probe)
    {
        probe.from();
        add_up(tile.d, shared, shared_address(shared) + kSumBarrierBase, group, tile.use);
        probe.add(1);
        probe.from();
        char* staged = shared + kOutBase + group * kOutBytes;
        if (tile.is_first)
        {
            const Mxfp4GroupedParameters& p = q.first;
            store_act<kColumns, kOutBytes, true>(p.activation, tile.rows, tile.d, staged, group, tile.bias, p.factor, p.rows / 2, p.out, p.out_stride,
                                                 TRounding::template of<kGroups, kOutBytes / 64>(group), pairs, p.top_k);
            if (threadIdx.x % 128 == 0)
            {
                p.counters.add_stored(tile.rows.expert);
            }
        }
        else
        {
            const Mxfp4GroupedParameters& p = q.second;
            store_pairs<kColumns, kOutBytes>(tile.rows, tile.d, staged, group, tile.bias, p.factor, p.rows, pairs, p.out + tile.rows.part * p.part_stride,
                                             p.out_stride);
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
        bool is_first, is_pending = false;
        Pending pending = {};
        Probe probe;  // marks: first stage full, first tile of the second product; sums: waits for full stages, for others' sums, ways out
        probe.begin();
        for (int index = 0;; index++)
        {
            const bool is_there = list.find(tile, numbers.take(), is_first);
            const int storing = index % kGroups, use = index / kGroups;
            const Mxfp4GroupedParameters& p = is_first ? q.first : q.second;
            int left = 0;
            float d[kColumns / 2] = {};
            float2 bias = make_float2(0, 0);
            if (is_there)
            {
                // What the compiler knows to be the same in all lanes makes the ring's addresses so.
                left = __reduce_max_sync(~0u, Share::of(p, tile, is_first ? 1 : p.parts, group).count);
                if (storing == group)
                {
                    // All of the tile's rows are this warpgroup's, whichever it is.
                    Tile rows = tile;
                    rows.row0 -= group * kBandRows;
                    bias = is_first ? act_bias(rows, group, q.first.bias, q.first.rows / 2) : pair_bias(rows, group, q.second.bias, q.second.rows);
                    fetch_pairs(rows, p.sorted_pairs, pairs);
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
                accumulate(d, ring, base, group, now, probe);
                left -= now;
                now = left;
                if (is_pending)
                {
                    store(q, pending, shared, group, pairs, probe);
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
                hand_over(d, shared, sum_barriers, storing, group, use);
                continue;
            }

            pending.rows = tile;
            pending.rows.row0 -= group * kBandRows;
            pending.use = use;
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
        if (threadIdx.x == 0)
        {
            tma_prefetch_map(&q.first.weight);
            tma_prefetch_map(&q.first.narrow);
            tma_prefetch_map(&q.second.weight);
            tma_prefetch_map(&q.second.narrow);
            for (int i = 0; i < kSlots; i++)
            {
                mbarrier_init(barriers + i * 8, 1);
                mbarrier_init(barriers + (kSlots + i) * 8, 4);
            }

            for (int i = 0; i < kGroups; i++)
            {
                mbarrier_init(sums + i * 8, (kGroups - 1) * 4);
                mbarrier_init(sums + (kGroups + i) * 8, 4);
            }

            numbers.init(kGroups * 4);
            mbarrier_fence_init();
        }

        wait_for_previous_launch();
        allow_next_launch();
        const int ticket = threadIdx.x == kGroups * 128 ? q.first.counters.draw_ticket() : 0;  // the answer comes while the table is made
        if (threadIdx.x < 32)
        {
            StreamList::prepare(active, q.first.expert_offsets, q.first.experts, q.first.columns);
        }

        __syncthreads();
        const StreamList list = {active, active[StreamList::kMostExperts].x, ceil_div(q.first.rows, kBandRows), ceil_div(q.second.rows, kBandRows), q.second.parts, 0};
        if (threadIdx.x >= kGroups * 128)
        {
            registers_lower<kLoaderRegisters>();
            if (threadIdx.x % 32 == 0)
            {
                const int loader = threadIdx.x / 32 - kGroups * 4;
                load_tiles(q, list, numbers, base, loader, ticket).leave(0, kGroups + loader);
            }
        }
        else
        {
            registers_raise<kGroupRegisters>();
            const Probe probe = compute_tiles(q, list, numbers, shared);
            if (threadIdx.x % 128 == 0)
            {
                probe.leave(0, threadIdx.x / 128);
            }
        }
    }
};

template <int kGroups, int kSteps, int kStages, int kGroupRegisters, int kSharedBytes, typename TRounding>
__global__ void __launch_bounds__(128 * (kGroups + 1), 1) moe_mxfp4_stream(const __grid_constant__ Mxfp4StreamParameters q)
{
    Mxfp4Stream<kGroups, kSteps, kStages, kGroupRegisters, kSharedBytes, TRounding>::run(q);
}
