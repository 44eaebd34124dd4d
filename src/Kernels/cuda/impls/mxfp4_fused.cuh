// Both products of an MXFP4 mixture-of-experts layer for up to 8 tokens in one launch, on sm_90a: mxfp4_grouped.cuh's tiles and ring.
//
// All tiles are one list, the first product's before the second's, and every block draws each of its tiles from it by a ticket, its first one too.
// So whoever waits, waits for tiles that running blocks have drawn: blocks need not all be there at once. A tile of the second product has its
// weights under way while it waits for its expert's tiles of the first, so memory goes on working from one product to the other.
//
// No rows are brought into order before: 8 tokens are one box, whose columns every tile multiplies. The epilogue of the first product stores the
// columns of its expert's pairs; the second product reads them in the pairs' order.
#pragma once
#include "impls/mxfp4_grouped.cuh"

struct Mxfp4FusedParameters
{
    Mxfp4GroupedParameters first;   // narrow: BF16 {depth, tokens}, the tokens themselves, box {64, 8}
    Mxfp4GroupedParameters second;
};

template <int kTokens, int kRows, int kBlocks, int kSteps, int kStages, int kGroupRegisters, int kHostSharedBytes, typename TRounding>
struct Mxfp4Fused : Mxfp4Grouped<kTokens, kRows, kBlocks, kSteps, kStages, kGroupRegisters, kHostSharedBytes, TRounding>
{
    using Base = Mxfp4Grouped<kTokens, kRows, kBlocks, kSteps, kStages, kGroupRegisters, kHostSharedBytes, TRounding>;
    using Ring = StageRing<kStages>;
    static constexpr int kColumns = 8, kStageBytes = Base::kWeightBytes + kSteps * kColumns * kGroupDepth * 2;
    // An expert has more pairs than a tile has columns only if tokens name it twice.
    using Schedule = TileScheduler<kRows, 512, kColumns>;

    /// What all threads know of the list.
    struct List
    {
        Schedule first, second;
        int firsts;  // tiles of the first product

        /// Whether there is such a tile.
        __device__ __forceinline__ bool find(Tile& tile, int number, int experts, bool& is_first)
        {
            is_first = number < firsts;
            return is_first ? first.find(tile, number, experts) : second.find(tile, number - firsts, experts);
        }
    };

    /// This loader's stages of a tile. `await_rows` is called before the first tokens are asked for.
    template <bool kFirst, typename TAwaitRows>
    static __device__ __forceinline__ void load_tile(const Mxfp4GroupedParameters& p, const Tile& tile, Ring& start, int& before, u32 shared, int loader,
                                                     const TAwaitRows& await_rows)
    {
        const u64 policy = policy_evict_first();
        const auto own = Base::Stages::template of<kFirst>(p, tile);
        const int first = (loader - before) & (Base::kLoaders - 1);
        Ring ring = start;
        ring.skip(first);
        auto load_weights = [&](const Ring& at, int stage) {
            const u32 full = shared + Base::kBarrierBase + at.stage * 8;
            mbarrier_wait(full + kStages * 8, at.phase);
            mbarrier_arrive_expect(full, kStageBytes);
            const int groups = (own.first + stage) * kSteps * kBandGroups, band = tile.row0 / kBandRows;
            tma_load_4d(shared + Base::kWeightBase + at.stage * Base::kWeightBytes, &p.weight, full, 0, groups, band, tile.expert, policy);
        };
        int early = 0;
        if constexpr (!kFirst)
        {
            early = min(own.count, kStages);
            Ring ahead = ring;
#pragma unroll 1
            for (int stage = first; stage < early; stage += Base::kLoaders)
            {
                load_weights(ahead, stage);
                ahead.advance(Base::kLoaders);
            }
        }

        await_rows();
#pragma unroll 1
        for (int stage = first; stage < own.count; stage += Base::kLoaders)
        {
            if (stage >= early)
            {
                load_weights(ring, stage);
            }

#pragma unroll
            for (int step = 0; step < kSteps; step++)
            {
                tma_load_2d(shared + ring.stage * Base::kTokenBytes + step * Base::kStepBytes, &p.narrow, shared + Base::kBarrierBase + ring.stage * 8,
                            ((own.first + stage) * kSteps + step) * kGroupDepth, kFirst ? 0 : tile.first);
            }

            ring.advance(Base::kLoaders);
        }

        start.skip(own.count);
        before += own.count;
    }

    /// One thread of each loading warp. The first draws the tiles, the last tells which have been stored.
    static __device__ __forceinline__ void load_tiles(const Mxfp4FusedParameters& q, List list, TileNumbers numbers, u32 shared, int loader, int ticket)
    {
        const ProductCounters& counters = q.first.counters;
        const int experts = q.first.experts;
        Ring start = {0, 1};
        int before = 0, complete = -1, pending = -1, tiles = 0;
        Tile tile;
        bool is_first;
        auto announce = [&] {
            // A tile of the first product before this one.
            if (loader == Base::kLoaders - 1 && pending >= 0)
            {
                numbers.wait_stored(tiles - 1);
                counters.add_stored(pending);
                pending = -1;
            }
        };
        if (loader == 0)
        {
            numbers.hand_out(ticket);
        }

        while (list.find(tile, numbers.take(), experts, is_first))
        {
            if (is_first)
            {
                load_tile<true>(q.first, tile, start, before, shared, loader, [] {});
                announce();
                pending = tile.expert;
            }
            else
            {
                load_tile<false>(q.second, tile, start, before, shared, loader, [&] {
                    // This block's own tile may be among those that are waited for.
                    announce();
                    if (tile.expert != complete)
                    {
                        complete = tile.expert;
                        counters.wait_stored(complete, list.first.token_tiles(complete) * list.first.stripes);
                    }
                });
            }

            tiles++;
            // Not before: who has a tile of the second product early, and waits, shall leave the next to who has none. The readers are some stages behind.
            if (loader == 0)
            {
                numbers.hand_out(counters.draw_ticket());
            }
        }

        announce();
    }

    static __device__ __forceinline__ void compute_tiles(const Mxfp4FusedParameters& q, List list, TileNumbers numbers, char* shared)
    {
        const int group = threadIdx.x / 128;
        int* pairs = (int*)(shared + Base::kPairsBase) + group * kTokens;
        char* staged = shared + Base::kOutBase + group * Base::kOutBytes;
        Ring ring = {0, 0};
        Tile tile;
        Probe probe;
        bool is_first;
        for (int number = numbers.take(); list.find(tile, number, q.first.experts, is_first); number = numbers.take())
        {
            // One loop for both products: its code is in the instruction cache when the second begins.
            float d[kColumns / 2] = {};
            float2 bias;
            int stages;
            if (is_first)
            {
                bias = fetch_for_store<true>(tile, group, q.first.bias, q.first.rows, q.first.sorted_pairs, pairs);
                stages = Base::Stages::template of<true>(q.first, tile).count;
                fetch_pairs(tile, q.first.sorted_pairs, pairs);
            }
            else
            {
                bias = fetch_for_store<false>(tile, group, q.second.bias, q.second.rows, q.second.sorted_pairs, pairs);
                stages = Base::Stages::template of<false>(q.second, tile).count;
            }

            // The compiler cannot see that all lanes have one number of stages. What it knows to be uniform makes the ring's addresses so, which else
            // are moved to uniform registers in every round, 35 of its 219 instructions.
            stages = __reduce_max_sync(~0u, stages);
            Base::template accumulate<kColumns>(d, ring, shared_address(shared), stages, probe);
            if (is_first)
            {
                const Mxfp4GroupedParameters& p = q.first;
                store_act<kColumns, Base::kOutBytes, true>(p.activation, tile, d, staged, group, bias, p.factor, p.rows / 2, p.out, p.out_stride,
                                                           TRounding::template of<Base::kGroups, Base::kOutBytes / 64>(group), pairs, p.top_k);
            }
            else
            {
                const Mxfp4GroupedParameters& p = q.second;
                store_pairs<kColumns, Base::kOutBytes>(tile, d, staged, group, bias, p.factor, p.rows, pairs, p.out + tile.part * p.part_stride, p.out_stride);
            }

            // Tiles are counted from 0, and this one's number has been taken.
            TileNumbers own = numbers;
            own.taken--;
            own.arrive_stored();
        }
    }

    static __device__ __forceinline__ void run(const Mxfp4FusedParameters& q)
    {
        extern __shared__ char unaligned[];
        char* shared = unaligned + (1024 - shared_address(unaligned) % 1024) % 1024;
        const u32 base = shared_address(shared), barriers = base + Base::kBarrierBase;
        int* offsets = (int*)(shared + Base::kOffsetsBase);
        const TileNumbers numbers = TileNumbers::at(shared + Base::kNumbersBase);
        if (threadIdx.x == 0)
        {
            tma_prefetch_map(&q.first.weight);
            tma_prefetch_map(&q.first.narrow);
            tma_prefetch_map(&q.second.weight);
            tma_prefetch_map(&q.second.narrow);
            for (int i = 0; i < kStages; i++)
            {
                mbarrier_init(barriers + i * 8, 1);
                mbarrier_init(barriers + (kStages + i) * 8, Base::kGroups * 4);
            }

            numbers.init(Base::kGroups * 4);
            mbarrier_fence_init();
        }

        wait_for_previous_launch();
        allow_next_launch();
        const int ticket = threadIdx.x == Base::kGroups * 128 ? q.first.counters.draw_ticket() : 0;  // the answer comes while the table is made
        prepare_tile_scheduler<kColumns, Base::kThreads, 512>(q.first.expert_offsets, q.first.experts, offsets);
        List list = {{offsets, ceil_div(q.first.rows, kRows), 1, 0}, {offsets, ceil_div(q.second.rows, kRows), q.second.parts, 0}, 0};
        list.firsts = list.first.tiles(q.first.experts);
        if (threadIdx.x >= Base::kGroups * 128)
        {
            registers_lower<Base::kLoaderRegisters>();
            if (threadIdx.x % 32 == 0)
            {
                load_tiles(q, list, numbers, base, threadIdx.x / 32 % 4, ticket);
            }
        }
        else
        {
            registers_raise<kGroupRegisters>();
            compute_tiles(q, list, numbers, shared);
        }
    }
};

template <int kTokens, int kRows, int kBlocks, int kSteps, int kStages, int kGroupRegisters, int kSharedBytes, typename TRounding>
__global__ void __launch_bounds__(128 * (kRows / 64 + 1), kBlocks) moe_mxfp4_fused(const __grid_constant__ Mxfp4FusedParameters q)
{
    Mxfp4Fused<kTokens, kRows, kBlocks, kSteps, kStages, kGroupRegisters, kSharedBytes, TRounding>::run(q);
}
