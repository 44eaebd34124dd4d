// What the loading warps of a block of the stream of weights do (mxfp4_stream.cuh).
//
// One thread brings the weights, a stage of 17 KB in one copy, and waits for nothing but room; another brings the tokens, and waits for experts; a third
// counts what has been stored.
//
// No rows are brought into order before: the tokens are one box, whose columns every tile multiplies. The second product reads them in the pairs' order. A
// box has as many rows as there are tokens, for what is read beyond them comes from L2 like everything else; what lies in the other columns is anything, and
// is not stored.
#pragma once
#include "epilogue/shared_gate.cuh"
#include "impls/stream_block.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/tma.cuh"
#include "scheduler/probe.cuh"

/// Of a block, a StreamBlock.
template <typename TBlock>
struct StreamLoaders
{
    using TParameters = typename TBlock::TParameters;
    using List = typename TBlock::List;
    using Ring = typename TBlock::Ring;
    using Routed = typename TBlock::Routed;

    /// Draws the tiles and brings their weights, which wait for nothing but room. One warp, of which one thread does so. It begins before the launch before
    /// is done, with the experts that it has chosen: weights are older than both.
    static __device__ __forceinline__ Probe load_weights(const TParameters& q, List list, int2* active, StreamTiles tiles, u32 shared)
    {
        Probe probe;  // marks: first weights asked for, the table made; sum: waits for empty stages
        probe.begin();
        Ring ring = {0, 1};
        float number;
        auto draw = [&] { number = add_relaxed(q.ticket, 1); };
        if (threadIdx.x % 32 == 0)
        {
            draw();
        }

        auto hand_out = [&](const StreamTile& tile) {
            // All readers of a slot but the thread that counts are held by the ring's stages.
            if (tiles.taken >= kNumberSlots)
            {
                mbarrier_wait(shared + TBlock::kCountedBase + tiles.taken % kNumberSlots * 8, (tiles.taken / kNumberSlots & 1) ^ 1);
            }

            tiles.hand_out(tile);
            tiles.taken++;
        };
        int since_short = TBlock::kStages;  // stages since the last short tile, at most all
        auto load_stages = [&](const StreamTile& tile, const auto& load_stage) {
            // The answer comes while stages are waited for. Not sooner: whoever is slower shall leave tiles to others.
            const int drawing = tile.is_short() ? 0 : tile.stages() - 1;
            if (drawing == 0)
            {
                draw();
            }

            // Warpgroups let others' short tiles by without waiting for their stages, and a barrier tells by parity alone which phase is over: who waits for
            // a stage whose phase before is not over either would read at once. So where that phase may be a short tile's, it is over before the tile is known.
            Ring ahead = ring;
#pragma unroll 1
            for (int i = min(tile.stages(), TBlock::kStages - since_short); i > 0; i--)
            {
                mbarrier_wait(shared + TBlock::kBarrierBase + (TBlock::kStages + ahead.stage) * 8, ahead.phase);
                ahead.advance();
            }

            since_short = tile.is_short() ? 0 : min(since_short + tile.stages(), TBlock::kStages);
            hand_out(tile);
#pragma unroll 1
            for (int i = 0; i < tile.stages(); i++)
            {
                if (i > 0 && i == drawing)
                {
                    draw();
                }

                const u32 full = shared + TBlock::kBarrierBase + ring.stage * 8;
                probe.from();
                mbarrier_wait(full + TBlock::kStages * 8, ring.phase);
                probe.add(0);
                probe.mark(0);
                load_stage(i, full, shared + TBlock::kWeightBase + ring.stage * TBlock::kWeightBytes);
                ring.advance();
            }

            probe.tile();
        };
        if constexpr (TBlock::kHasShared)
        {
            while (threadIdx.x % 32 == 0 && (int)number < list.shared_firsts())
            {
                const StreamTile tile = TBlock::List::shared_tile((int)number, true, TBlock::shared_stages(q.shared_first), q.columns);
                load_shared_tile(q, tile, policy_evict_first(), load_stages);
            }

            __syncwarp();
        }

        TBlock::List::prepare(active, q.early_offsets, q.experts, q.columns);
        __syncwarp();
        probe.mark(1);
        if (threadIdx.x % 32 != 0)
        {
            return probe;
        }

        const u64 policy = policy_evict_first();
        list.open();
        int stages_of_shared = 0;
        if constexpr (TBlock::kHasShared)
        {
            stages_of_shared = TBlock::shared_stages(q.shared_second);
        }

        while (true)
        {
            const StreamTile tile = list.find((int)number, stages_of_shared);
            if (!tile.is_there())
            {
                hand_out(tile);
                break;
            }

            if constexpr (TBlock::kHasShared)
            {
                if (tile.is_shared())
                {
                    load_shared_tile(q, tile, policy, load_stages);
                    continue;
                }
            }

            const int steps = tile.steps();
            const char* from = list.weights_of(tile);
            load_stages(tile, [&](int i, u32 full, u32 to) {
                const u32 bytes = min(steps - i * TBlock::kStageSteps, TBlock::kStageSteps) * TBlock::kStepBytes;
                mbarrier_arrive_expect(full, bytes);
                bulk_load(to, from, bytes, full, policy);
                from += TBlock::kWeightBytes;
            });
        }

        // Whoever draws the last number of all leaves the ticket as it was. The next launch begins only when all blocks have drawn their last.
        if ((int)number == list.tiles() + (int)gridDim.x - 1)
        {
            store_relaxed((u32*)q.ticket, 0);
            __threadfence();
        }

        wait_for_previous_launch();
        allow_next_launch();
        return probe;
    }

    /// load_stages(tile, load_stage(stage, barrier, where it goes)).
    template <typename TLoadStages>
    static __device__ __forceinline__ void load_shared_tile(const TParameters& q, const StreamTile& tile, u64 policy, const TLoadStages& load_stages)
    {
        const SharedStreamProduct& p = TBlock::shared_product(q, tile.is_first());
        load_stages(tile, [&](int i, u32 full, u32 to) {
            mbarrier_arrive_expect(full, TBlock::kSharedScaleBase + TBlock::kSharedScaleBytes);
#pragma unroll
            for (int box = 0; box < TBlock::kSharedBoxes; box++)
            {
                const int depth = (i * TBlock::kSharedBoxes + box) * TBlock::kSharedBoxDepth;
                tma_load_4d(to + box * TBlock::kSharedBoxBytes, &p.weights, full, depth, 0, 0, tile.row / kGroupRows, policy);
            }

            if (TBlock::kSharedIsE4M3)
            {
                tma_load_2d(to + TBlock::kSharedScaleBase, &p.scales, full, i * TBlock::kSharedSteps * 4, tile.row / kGroupRows);
            }
        });
    }

    /// Brings the tokens of all tiles: those of the second product when the first has finished their expert. One thread.
    static __device__ __forceinline__ Probe load_tokens(const TParameters& q, const List& list, StreamTiles tiles, u32 shared)
    {
        Ring ring = {0, 1};
        int complete = -1;
        [[maybe_unused]] Routed routed;
        Probe probe;  // marks: first tokens asked for, first tile of the second product; sums: waits for empty stages, for experts, for tiles' numbers
        probe.begin();
        TBlock::wait_unless_shared();
        if (TBlock::kHasShared)
        {
            // Rows that older launches wrote: nothing else stands between those and this one.
            fence_async_proxy_global();
        }

        while (true)
        {
            probe.from();
            const StreamTile tile = tiles.take();
            probe.add(2);
            if (!tile.is_there())
            {
                return probe;
            }

            const TensorMap* rows = tile.is_first() ? &q.tokens : &q.act;
            const int stages = tile.stages(), row = tile.is_first() ? 0 : tile.first();
            int steps = TBlock::kStageSteps;
            routed.wait_for(TBlock::is_shared(tile));
            if constexpr (TBlock::kHasShared)
            {
                if (tile.is_shared())
                {
                    rows = &TBlock::shared_product(q, tile.is_first()).tokens;
                    steps = TBlock::kSharedSteps;
                    if (!tile.is_first())
                    {
                        TBlock::shared_counter(q).wait_stored(0, list.shared_firsts());
                    }
                }
            }

            const u32 bytes = steps * q.columns * kGroupDepth * 2;
            if (!tile.is_first() && !TBlock::is_shared(tile) && tile.expert != complete)
            {
                complete = tile.expert;
                probe.mark(1);
                probe.from();
                q.counters.wait_stored(tile.number(), (tile.expert >> 16) * list.first_stripes());
                probe.add(1);
            }

#pragma unroll 1
            for (int i = 0; i < stages; i++)
            {
                const u32 full = shared + TBlock::kBarrierBase + ring.stage * 8;
                probe.from();
                mbarrier_wait(full + TBlock::kStages * 8, ring.phase);
                probe.add(0);
                probe.mark(0);
                mbarrier_arrive_expect(full, bytes);
                tma_load_3d(shared + ring.stage * TBlock::kTokenBytes, rows, full, 0, row, (tile.stages_before() + i) * steps);
                ring.advance();
            }

            probe.tile();
        }
    }

    /// Counts the tiles of the first product that have been stored. One thread: it takes a microsecond, which those that multiply do not have.
    static __device__ __forceinline__ void count_stored(const TParameters& q, StreamTiles tiles, u32 shared)
    {
        TBlock::wait_unless_shared();
        [[maybe_unused]] Routed routed;
        for (u32 index = 0;; index++)
        {
            const StreamTile tile = tiles.take();
            if (!tile.is_there())
            {
                return;
            }

            if (tile.is_first())
            {
                tiles.wait_stored(index);
                routed.wait_for(TBlock::is_shared(tile));
                if (TBlock::is_shared(tile))
                {
                    add_shared_stored(q);
                }
                else
                {
                    q.counters.add_stored(tile.number());
                }
            }

            mbarrier_arrive(shared + TBlock::kCountedBase + index % kNumberSlots * 8);
        }
    }

    static __device__ __forceinline__ void add_shared_stored(const TParameters& q)
    {
        if constexpr (TBlock::kHasShared)
        {
            TBlock::shared_counter(q).add_stored(0);
        }
    }

    /// One warp. The combine adds both halves of every pair: those of whole tiles have 0 for a second one. There is one token, so an expert a pair.
    static __device__ __forceinline__ void clear_second_halves(const TParameters& q)
    {
        if (q.halved > 0)
        {
            wait_for_previous_launch();
            const int pieces = q.second.rows / 8, whole = (int)q.early_offsets[q.experts] - q.halved;
            for (int i = blockIdx.x * 32 + threadIdx.x % 32; i < whole * pieces; i += gridDim.x * 32)
            {
                *(uint4*)(q.second.out + (q.pairs + q.sorted_pairs[i / pieces]) * q.second.out_stride + i % pieces * 8) = make_uint4(0, 0, 0, 0);
            }
        }
    }

    /// One warp: a token a block.
    static __device__ __forceinline__ void open_gate(const TParameters& q)
    {
        if constexpr (TBlock::kHasShared)
        {
            for (int token = blockIdx.x; q.gate != nullptr && token < q.columns; token += gridDim.x)
            {
                const float opened = open_shared_gate(q.x + token * q.x_stride, q.gate, q.shared_first.depth);
                if (threadIdx.x % 32 == 0)
                {
                    q.opened[token] = opened;
                }
            }
        }
    }
};
