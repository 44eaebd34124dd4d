// How the stream of weights stores a tile (mxfp4_stream.cuh): the warpgroups' sums meet in shared memory, in the warpgroups' order, and one of them stores what
// becomes of them.
//
// The epilogue of the first product stores the columns of its expert's pairs, that of the second product all of its pairs.
#pragma once
#include "epilogue/store_tile.cuh"
#include "impls/stream_products.cuh"

/// Of a block, a StreamBlock.
template <typename TBlock>
struct StreamStore
{
    using TParameters = typename TBlock::TParameters;
    using TActivation = typename TBlock::TActivation;

    /// A tile that this warpgroup has still to store.
    struct Pending
    {
        Tile rows;
        int index;  // of the block's tiles
        int use;    // parity of the buffer of sums' use; less than 0: there are no others' sums
        bool is_first, is_shared;
        float d[TBlock::kColumns / 2];
        float2 bias;
    };

    static __device__ __forceinline__ float4* sums_for(char* shared, int storing, int group)
    {
        const int place = (group - storing - 1) & (TBlock::kGroups - 1);
        return (float4*)(shared + TBlock::kSumBase + storing * TBlock::kSumBytes) + place * (TBlock::kColumns * kBandRows / 4) + threadIdx.x % 128;
    }

    /// Hands this warpgroup's sums to the one that stores the tile.
    static __device__ __forceinline__ void hand_over(const typename StreamProducts<TBlock>::Sums& d, char* shared, u32 barriers, int storing, int group, int use)
    {
        const u32 full = barriers + storing * 8;
        mbarrier_wait(full + TBlock::kGroups * 8, (use & 1) ^ 1);
        *sums_for(shared, storing, group) = make_float4(d.even[0] + d.odd[0], d.even[1] + d.odd[1], d.even[2] + d.odd[2], d.even[3] + d.odd[3]);
        __syncwarp();
        if (threadIdx.x % 32 == 0)
        {
            mbarrier_arrive(full);
        }
    }

    /// Adds the warpgroups' sums of a tile, in the warpgroups' order.
    static __device__ __forceinline__ void add_up(float (&d)[TBlock::kColumns / 2], char* shared, u32 barriers, int group, int use)
    {
        const u32 full = barriers + group * 8;
        mbarrier_wait(full, use & 1);
        float sum[4] = {};
#pragma unroll
        for (int g = 0; g < TBlock::kGroups; g++)
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
            mbarrier_arrive(full + TBlock::kGroups * 8);
        }

#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            d[i] = sum[i];
        }
    }

    /// What the first product makes of a tile's sums.
    template <bool kOfTokens, typename TOwnRounding>
    static __device__ __forceinline__ void store_results(const TActivation& activation, Pending& tile, char* staged, int group, const float2& bias, const float* factor,
                                                         int rows, u16* out, i64 out_stride, const TOwnRounding& rounding, const int* pairs, int top_k)
    {
        if constexpr (TBlock::kIsGated)
        {
            store_act<TBlock::kColumns, TBlock::kOutBytes, kOfTokens>(activation, tile.rows, tile.d, staged, group, bias, factor, rows / 2, out, out_stride, rounding,
                                                                       pairs, top_k);
        }
        else
        {
            store_act_rows<TBlock::kColumns, TBlock::kOutBytes, kOfTokens>(activation, tile.rows, tile.d, staged, group, bias, factor, rows, out, out_stride, rounding,
                                                                            pairs, top_k);
        }
    }

    static __device__ __forceinline__ void store_shared(const TParameters& q, Pending& tile, char* staged, int group, StreamTiles tiles)
    {
        const SharedStreamProduct& p = TBlock::shared_product(q, tile.is_first);
        if (tile.is_first)
        {
            store_results<false>(TActivation{q.shared_activation}, tile, staged, group, make_float2(0, 0), p.factor, p.rows, (u16*)p.out,
                                 q.shared_second.depth, RoundBf16(), nullptr, 1);
            tiles.taken = tile.index;
            tiles.arrive_stored();
        }
        else
        {
            const int mine = tile.rows.row0 + group * kBandRows + threadIdx.x % 128 / 32 * kGroupRows + threadIdx.x % 32 / 4;
            add_biases<TBlock::kColumns>(tile.rows, tile.d, mine, make_float2(0, 0), p.factor, p.rows);
#pragma unroll
            for (int i = 0; i < TBlock::kColumns / 2; i++)
            {
                const int token = threadIdx.x % 4 * 2 + i % 2;
                if (token < tile.rows.count)
                {
                    ((float*)p.out)[(i64)token * p.rows + mine + i / 2 * 8] = tile.d[i];
                }
            }
        }
    }

    static __device__ __forceinline__ void store(const TParameters& q, Pending& tile, char* shared, int group, StreamTiles tiles, int* pairs, Probe& probe)
    {
        probe.from();
        if (tile.use >= 0)
        {
            add_up(tile.d, shared, shared_address(shared) + TBlock::kSumBarrierBase, group, tile.use);
        }

        probe.add(1);
        probe.from();
        char* staged = shared + TBlock::kOutBase + group * TBlock::kOutBytes;
        if constexpr (TBlock::kHasShared)
        {
            if (tile.is_shared)
            {
                store_shared(q, tile, staged, group, tiles);
                probe.add(2);
                return;
            }
        }

        if (tile.is_first)
        {
            const StreamProduct& p = q.first;
            store_results<true>(TActivation{q.activation}, tile, staged, group, tile.bias, p.factor, p.rows, p.out, p.out_stride,
                                TBlock::TRounding::template of<TBlock::kGroups, TBlock::kOutBytes / 64>(group), pairs, q.top_k);
            tiles.taken = tile.index;
            tiles.arrive_stored();
        }
        else
        {
            const StreamProduct& p = q.second;
            store_pairs<TBlock::kColumns, TBlock::kOutBytes>(tile.rows, tile.d, staged, group, tile.bias, p.factor, p.rows, pairs, p.out, p.out_stride);
        }

        probe.add(2);
    }

    /// What a warpgroup needs of memory to store a tile.
    static __device__ __forceinline__ float2 fetch_for_store(const TParameters& q, const StreamTile& tile, int group, int* pairs)
    {
        const Tile rows = tile.rows_of(group);
        if (threadIdx.x % 128 < rows.count)
        {
            copy_async_word(shared_address(pairs + threadIdx.x % 128), q.sorted_pairs + rows.first + threadIdx.x % 128);
        }

        return tile.is_first() && TBlock::kIsGated ? act_bias(rows, group, q.first.bias, q.first.rows / 2)
            : tile.is_first() ? pair_bias(rows, group, q.first.bias, q.first.rows)
            : pair_bias(rows, group, q.second.bias, q.second.rows);
    }
};
