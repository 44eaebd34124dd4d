// Both products of an MXFP4 mixture-of-experts layer for up to 8 tokens in one launch, on sm_90a, as one stream of weights.
//
// One block a multiprocessor. Its four warpgroups share each tile of 64 weight rows: each multiplies two of the eight steps of every stage, and the sums
// meet in shared memory, in the warpgroups' order. So a tile takes an SM a few microseconds, the SMs go through the experts one after the other, and an
// expert is finished long before its tiles of the second product come: memory never waits for the end of the first.
//
// A tile of few inputs, up to kShortStages stages, is one warpgroup's alone, the next one the next warpgroup's: what a tile costs each warp that has a part in it is
// as many instructions as two stages, and four times that for each stage or two is more than the schedulers can issue while memory brings them.
//
// The sums of a tile are added and stored by one warpgroup, the next tile's by the next one, while the others go on. It does so when it has begun with the next
// tile: else each tile's end would wait for that of the tile before, for who stores that one is late. But where it would only wait, it stores at once.
//
// This file has what the multiplying warpgroups do, tile by tile, and the kernel. To be read before it: stream_parameters.cuh (what a launch is told),
// stream_list.cuh (the tiles and their order), stream_block.cuh (threads and shared memory), stream_loaders.cuh (what the loading warps do), stream_products.cuh
// (a warp's share of a tile) and stream_store.cuh (how the shares meet).
#pragma once
#include "impls/stream_loaders.cuh"
#include "impls/stream_store.cuh"

/// What a block does, a StreamBlock.
template <typename TBlock>
struct Mxfp4Stream
{
    using Loaders = StreamLoaders<TBlock>;
    using Products = StreamProducts<TBlock>;
    using Store = StreamStore<TBlock>;
    using TParameters = typename TBlock::TParameters;
    using List = typename TBlock::List;
    using Ring = typename TBlock::Ring;
    using Routed = typename TBlock::Routed;
    using Pending = typename Store::Pending;
    using Sums = typename Products::Sums;

    static __device__ __forceinline__ bool all_lanes(bool condition) { return __ballot_sync(~0u, !condition) == 0; }

    static __device__ __forceinline__ Probe compute_tiles(const TParameters& q, StreamTiles tiles, char* shared)
    {
        const u32 base = shared_address(shared), sum_barriers = base + TBlock::kSumBarrierBase;
        const int group = __shfl_sync(~0u, threadIdx.x / 128, 0);
        int* pairs = (int*)(shared + TBlock::kPairsBase) + group * TBlock::kColumns;
        Ring ring = {0, 0};
        bool is_pending = false;
        Pending pending = {};
        Probe probe;  // marks: first stage full, first tile of the second product; sums: waits for full stages, for others' sums, ways out
        probe.begin();
        TBlock::wait_unless_shared();
        [[maybe_unused]] Routed routed;
        u32 uses = 0;  // of each buffer of sums, its parity: tiles that one warpgroup multiplies need none
        for (int index = 0;;)
        {
            // While nothing else can be done, the tile that is pending is stored.
            const bool is_known = !is_pending || all_lanes(tiles.can_take());
            StreamTile tile = {};
            if (is_known)
            {
                tile = tiles.take();
            }

            const bool is_there = is_known && tile.is_there(), is_first = tile.is_first(), is_short = tile.is_short(), is_alone = is_short && index % TBlock::kGroups == group;
            if (is_short && !is_alone)
            {
                ring.advance(tile.stages());
                if (!is_pending)
                {
                    index++;
                    continue;
                }
            }

            if (is_known)
            {
                routed.wait_for(tile.is_shared());
            }

            // Who stores short tiles too: so what a warpgroup fetches for one tile never takes the place of what a tile needs that it has still to store.
            const int storing = index % TBlock::kGroups, use = uses >> storing & 1;
            int left = 0, steps = 0, place = 0;
            Sums sums = {};
            float2 bias = make_float2(0, 0);
            if (is_there && !is_short)
            {
                // What the compiler knows to be the same in all lanes makes the ring's addresses so.
                steps = TBlock::steps_of(q, is_first);
                left = __reduce_max_sync(~0u, tile.stages());
                place = (group + tile.row / kBandRows) % TBlock::kGroups;
                if (storing == group && !tile.is_shared())
                {
                    bias = Store::fetch_for_store(q, tile, group, pairs);
                }

                if (!is_first)
                {
                    probe.mark(1);
                }
            }

            // What a tile of the second product waits for may be the tile that is pending.
            int now = left;
            if (is_pending)
            {
                const bool is_late = all_lanes(mbarrier_is_over(base + TBlock::kBarrierBase + ring.stage * 8, ring.phase));
                now = is_late && !(pending.is_first && !is_first) ? min(left, TBlock::kStagesBeforeStore) : 0;
            }

#pragma unroll 1
            while (true)
            {
                if (!is_short)
                {
                    if (TBlock::kHasShared && tile.is_shared())
                    {
                        Products::accumulate_shared(sums, ring, base, place, q.columns, is_first, now, probe);
                    }
                    else
                    {
                        Products::accumulate(sums, ring, base, place, q.columns, steps, now, probe);
                    }
                }

                left -= now;
                now = left;

                // Before the tile that is pending: else who stores this one would wait for that, and tiles that are short would be stored one after the other.
                if (is_there && !is_short && left == 0 && storing != group)
                {
                    Store::hand_over(sums, shared, sum_barriers, storing, group, use);
                }

                if (is_pending)
                {
                    Store::store(q, pending, shared, group, tiles, pairs, probe);
                    is_pending = false;
                }

                if (left == 0)
                {
                    break;
                }
            }

            if (!is_known)
            {
                continue;
            }

            if (!is_there)
            {
                break;
            }

            index++;
            probe.tile();
            if (is_alone)
            {
                steps = TBlock::steps_of(q, is_first);
                bias = Store::fetch_for_store(q, tile, group, pairs);
                Products::accumulate_alone(sums, ring, base, q.columns, steps, probe);
            }
            else if (is_short)
            {
                continue;
            }
            else
            {
                uses ^= 1u << storing;
                if (storing != group)
                {
                    continue;
                }
            }

            pending.rows = tile.rows_of(group);
            pending.index = index - 1;
            pending.use = is_alone ? -1 : use;
            pending.is_first = is_first;
            pending.is_shared = tile.is_shared();
            pending.bias = bias;
#pragma unroll
            for (int i = 0; i < TBlock::kColumns / 2; i++)
            {
                pending.d[i] = sums.even[i] + sums.odd[i];
            }

            is_pending = true;
        }

        return probe;
    }

    static __device__ __forceinline__ void run(const TParameters& q)
    {
        extern __shared__ char unaligned[];
        char* shared = unaligned + (1024 - shared_address(unaligned) % 1024) % 1024;
        const u32 base = shared_address(shared), barriers = base + TBlock::kBarrierBase, sums = base + TBlock::kSumBarrierBase;
        int2* const active = (int2*)(shared + TBlock::kListBase);
        const StreamTiles tiles = StreamTiles::at(shared + TBlock::kNumbersBase);
        const List list = {active, q};
        if (threadIdx.x == 0)
        {
            tma_prefetch_map(&q.tokens);
            tma_prefetch_map(&q.act);
            for (int i = 0; i < TBlock::kStages; i++)
            {
                mbarrier_init(barriers + i * 8, 2);
                mbarrier_init(barriers + (TBlock::kStages + i) * 8, TBlock::kGroups * 4);
            }

            for (int i = 0; i < TBlock::kGroups; i++)
            {
                mbarrier_init(sums + i * 8, (TBlock::kGroups - 1) * 4);
                mbarrier_init(sums + (TBlock::kGroups + i) * 8, 4);
            }

            tiles.init(4);
            for (int i = 0; i < kNumberSlots; i++)
            {
                mbarrier_init(base + TBlock::kCountedBase + i * 8, 1);
            }

            mbarrier_fence_init();
        }

        // All of this is done while the launch before still runs.
        __syncthreads();
        if (threadIdx.x < TBlock::kGroups * 128)
        {
            registers_raise<TBlock::kGroupRegisters>();
            const Probe probe = compute_tiles(q, tiles, shared);
            if (threadIdx.x % 128 == 0)
            {
                probe.leave(0, threadIdx.x / 128);
            }

            return;
        }

        registers_lower<TBlock::kLoaderRegisters>();
        const int role = threadIdx.x / 32 - TBlock::kGroups * 4;
        if (role == 0)
        {
            const Probe probe = Loaders::load_weights(q, list, active, tiles, base);
            if (threadIdx.x % 32 == 0)
            {
                probe.leave(0, TBlock::kGroups);
            }
        }
        else if (role == 1 && threadIdx.x % 32 == 0)
        {
            Loaders::load_tokens(q, list, tiles, base).leave(0, TBlock::kGroups + 1);
        }
        else if (role == 2 && threadIdx.x % 32 == 0)
        {
            Loaders::count_stored(q, tiles, base);
        }
        else if (TBlock::kHasShared && role == 3)
        {
            Loaders::open_gate(q);
        }
    }
};

template <int kStages, int kGroupRegisters, int kSharedBytes, typename TRounding, typename TParameters, typename TActivation, typename TDealing = DealtForBf16>
__global__ void __launch_bounds__(640, 1) moe_mxfp4_stream(const __grid_constant__ TParameters q)
{
    Mxfp4Stream<StreamBlock<kStages, kGroupRegisters, kSharedBytes, TRounding, TParameters, TActivation, TDealing>>::run(q);
}
