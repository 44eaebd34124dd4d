// The warps of a persistent grouped GEMM that load its tiles (mxfp4_grouped.cuh, mxfp4_fp8.cu).
#pragma once
#include "ptx/mbarrier.cuh"
#include "ptx/tma.cuh"
#include "scheduler/probe.cuh"
#include "scheduler/stage_ring.cuh"
#include "scheduler/tile_scheduler.cuh"

/// The boxes that bring a tile's tokens: a last one of few tokens is narrow, since what is fetched beyond the tile's tokens comes from L2 too.
struct TokenBoxes
{
    static constexpr int kWide = 64, kNarrow = 8, kMostNarrow = 4;  // tokens of a copy; beyond so many narrow ones a wide one is used
    int wide, narrow;

    template <int kTokens>
    static __device__ __forceinline__ TokenBoxes of(int count)
    {
        if constexpr (kTokens < kWide)
        {
            return {0, ceil_div(count, kNarrow)};
        }

        const int narrow = ceil_div(count % kWide, kNarrow);
        return {count / kWide + (narrow > kMostNarrow), narrow > kMostNarrow ? 0 : narrow};
    }

    __device__ __forceinline__ int tokens() const
    {
        return wide * kWide + narrow * kNarrow;
    }

    /// Copies row_bytes of each token from `depth` on, one token behind the other.
    template <typename TParameters>
    __device__ __forceinline__ void load(const TParameters& p, u32 to, u32 full, int depth, int first, int row_bytes) const
    {
#pragma unroll 1
        for (int box = 0; box < wide; box++)
        {
            tma_load_2d(to, &p.wide, full, depth, first + box * kWide);
            to += kWide * row_bytes;
        }

#pragma unroll 1
        for (int box = 0; box < narrow; box++)
        {
            tma_load_2d(to, &p.narrow, full, depth, first + wide * kWide + box * kNarrow);
            to += kNarrow * row_bytes;
        }
    }
};

/// One thread of each loading warp: the stages whose number, counted through all tiles, leaves `loader` when divided by kLoaders. The first draws the
/// tiles. TGemm has the types and places in shared memory that are named here. Its Copies: begin(p, schedule, tile) sets `stages` and `bytes`, a stage's; weights and tokens enqueue the copies of a stage to a place of the ring.
template <typename TGemm, bool kFirst, typename TParameters>
__device__ __forceinline__ Probe load_tiles(const TParameters& p, typename TGemm::Schedule schedule, TileNumbers numbers, u32 shared, int loader)
{
    using Ring = typename TGemm::Ring;
    constexpr int kStages = Ring::kLength, kLoaders = TGemm::kLoaders;
    typename TGemm::template Copies<kFirst> copies;
    Ring start = {0, 1};
    int before = 0;
    bool is_first_tile = true;
    TileBefore<kFirst> last;
    Tile tile;
    Probe probe;  // marks: first weights asked for, first rows there; sums: waits for empty stages, for rows, for the tile before to be stored
    probe.begin();
    for (int number = blockIdx.x; schedule.find(tile, number, p.experts); number = numbers.take())
    {
        copies.begin(p, schedule, tile);
        const int stages = copies.stages;
        const int first = (loader - before) & (kLoaders - 1);
        Ring ring = start;
        ring.skip(first);
        auto load_weights = [&](const Ring& at, int stage) {
            const u32 full = shared + TGemm::kBarrierBase + at.stage * 8;
            probe.from();
            mbarrier_wait(full + kStages * 8, at.phase);
            probe.add(0);
            probe.mark(0);
            mbarrier_arrive_expect(full, copies.bytes);
            copies.weights(p, tile, shared, full, at.stage, stage);
        };
        int early = 0, drawn = 0;
        if (is_first_tile)
        {
            early = min(stages, kStages);
            Ring ahead = ring;
#pragma unroll 1
            for (int stage = first; stage < early; stage += kLoaders)
            {
                load_weights(ahead, stage);
                ahead.advance(kLoaders);
            }

            if (kFirst)
            {
                wait_for_previous_launch();
            }

            allow_next_launch();
            is_first_tile = false;
        }

        probe.from();
        last.wait_for_rows(p.counters, schedule, tile, TGemm::kNeuronRows * p.depth);
        probe.add(1);
        probe.mark(1);
        probe.tile();
        if (loader == 0)
        {
            drawn = p.counters.template draw<kFirst>();  // the answer comes while this tile is loaded
        }

#pragma unroll 1
        for (int stage = first; stage < stages; stage += kLoaders)
        {
            if (stage >= early)
            {
                load_weights(ring, stage);
            }

            copies.tokens(p, tile, shared, shared + TGemm::kBarrierBase + ring.stage * 8, ring.stage, stage);
            ring.advance(kLoaders);
        }

        start.skip(stages);
        before += stages;
        if (loader == 0)
        {
            numbers.hand_out(drawn);
        }

        if (loader == kLoaders - 1)
        {
            probe.from();
            last.announce(p.counters, numbers, tile.expert);
            probe.add(2);
        }
    }

    if (loader == kLoaders - 1)
    {
        last.announce(p.counters, numbers, -1);
    }

    // The second product too: whoever waits for it shall have waited for the first.
    wait_for_previous_launch();
    allow_next_launch();
    return probe;
}
