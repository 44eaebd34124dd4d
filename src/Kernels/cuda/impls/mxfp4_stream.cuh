// Both products of an MXFP4 mixture-of-experts layer for up to 8 tokens in one launch, on sm_90a, as one stream of weights.
//
// One block a multiprocessor. Its four warpgroups share each tile of 64 weight rows: each multiplies two of the eight steps of every stage, and the sums
// meet in shared memory, in the warpgroups' order. So a tile takes an SM a few microseconds, the SMs go through the experts one after the other, and an
// expert is finished long before its tiles of the second product come: memory never waits for the end of the first.
//
// A tile of few inputs, up to kShortStages stages, is one warpgroup's alone, the next one the next warpgroup's: what a tile costs each warp that has a part in it
// is as many instructions as a stage, and four times that for each stage or two is more than the schedulers can issue while memory brings them.
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
    using Fetched = typename Store::Fetched;
    using Sums = typename Products::Sums;
    using Operands = typename Products::Operands;

    static __device__ __forceinline__ bool all_lanes(bool condition) { return __ballot_sync(~0u, !condition) == 0; }

    /// What a warpgroup has to do with a tile.
    enum Task
    {
        kNoTask,    // it is not known yet, or short and another's
        kEnd,       // there are no more
        kAlone,     // all of it
        kHandOver,  // its share, which another one stores
        kStore,     // its share, and to store the tile
    };

    static __device__ __forceinline__ Task task_of(const StreamTile& tile, bool is_own)
    {
        return !tile.is_there() ? kEnd : tile.is_short() ? is_own ? kAlone : kNoTask : is_own ? kStore : kHandOver;
    }

    static __device__ __forceinline__ Probe compute_tiles(const TParameters& q, StreamTiles tiles, u32 base)
    {
        // What the compiler knows to be the same in all lanes, and cannot make again, stays in registers of its own.
        const u32 group = __shfl_sync(~0u, threadIdx.x / 128, 0), shared = __shfl_sync(~0u, base, 0);
        Ring ring = {0, 0};
        Pending pending;
        Probe probe;  // marks: first stage full, first tile of the second product; sums: waits for full stages, for others' sums, ways out
        probe.begin();
        TBlock::wait_unless_shared();
        [[maybe_unused]] Routed routed;
        u32 uses = 0;  // of each buffer of sums, its parity: tiles that one warpgroup multiplies need none
        for (u32 index = 0;;)
        {
            // While nothing else can be done, the tile that is pending is stored. Who stores short tiles too, so that tiles are stored in one order.
            const bool is_pending = pending.is_there();
            const u32 storing = index % TBlock::kGroups;
            StreamTile tile = {};
            int task = kNoTask;
            if (!is_pending || all_lanes(tiles.can_take()))
            {
                tile = tiles.take();
                index++;
                task = task_of(tile, storing == group);
                if (task == kNoTask)
                {
                    ring.advance(tile.stages());
                }

                routed.wait_for(TBlock::is_shared(tile));
            }

            if (task == kNoTask && !is_pending)
            {
                continue;
            }

            const u32 use = uses >> storing & 1, place = (group + tile.row / kBandRows) % TBlock::kGroups;
            const bool is_first = tile.is_first();
            int left = 0, steps = 0;
            Sums sums = {};
            Fetched fetched = {};
            if (task >= kHandOver)
            {
                left = tile.stages();
                steps = tile.steps() - (int)place * TBlock::kSteps;
                if (task == kStore && !TBlock::is_shared(tile))
                {
                    fetched = Store::fetch_for_store(q, tile);
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
                const bool is_late = all_lanes(mbarrier_is_over(shared + TBlock::kBarrierBase + ring.stage * 8, ring.phase));
                now = is_late && !(pending.tile.is_first() && !is_first) ? min(left, TBlock::kStagesBeforeStore) : 0;
            }

#pragma unroll 1
            while (true)
            {
                if (now > 0)
                {
                    if (TBlock::is_shared(tile))
                    {
                        Products::accumulate_shared(sums, ring, shared, place, q.columns, is_first, now, probe);
                    }
                    else
                    {
                        const Operands at(shared, place * TBlock::kSteps, q.columns);
                        Products::accumulate(sums, ring, shared, at, steps, now, probe);
                    }
                }

                left -= now;
                now = left;

                // Before the tile that is pending: else who stores this one would wait for that, and tiles that are short would be stored one after the other.
                if (left == 0 && task == kHandOver)
                {
                    Store::hand_over(sums, shared, storing, group, use);
                }

                if (pending.is_there())
                {
                    Store::store(q, pending, shared, group, tiles, probe);
                    pending.tile.row = -1;
                }

                if (left == 0)
                {
                    break;
                }
            }

            if (task == kNoTask)
            {
                continue;
            }

            if (task == kEnd)
            {
                break;
            }

            probe.tile();
            if (task == kAlone)
            {
                fetched = Store::fetch_for_store(q, tile);
                Products::accumulate_alone(sums, ring, shared, q.columns, tile.steps(), probe);
            }
            else
            {
                uses ^= 1u << storing;
                if (task == kHandOver)
                {
                    continue;
                }
            }

            pending.tile = tile;
            pending.index = index - 1;
            pending.use = task == kAlone ? -1 : (int)use;
            pending.fetched = fetched;
#pragma unroll
            for (int i = 0; i < TBlock::kColumns / 2; i++)
            {
                pending.d[i] = sums.even[i] + sums.odd[i];
            }
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
        const List list(active, q);
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
            const Probe probe = compute_tiles(q, tiles, base);
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
        else if (role == 3)
        {
            Loaders::open_gate(q);
            Loaders::clear_second_halves(q);
        }
    }
};

template <int kStages, int kGroupRegisters, int kSharedBytes, typename TRounding, typename TParameters, typename TActivation, typename TDealing = DealtForBf16>
__global__ void __launch_bounds__(640, 1) moe_mxfp4_stream(const __grid_constant__ TParameters q)
{
    Mxfp4Stream<StreamBlock<kStages, kGroupRegisters, kSharedBytes, TRounding, TParameters, TActivation, TDealing>>::run(q);
}
