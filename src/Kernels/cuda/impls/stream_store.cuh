// How the stream of weights stores a tile (mxfp4_stream.cuh): the warpgroups' sums meet in shared memory, in the warpgroups' order, and one of them stores what
// becomes of them.
//
// The epilogue of the first product stores the columns of its expert's pairs, that of the second product all of its pairs. Lane 4g + t of a warp has columns
// 2t and 2t + 1 of its rows g and g + 8, and stores them by itself: so few results are not worth a way through shared memory, which warps would wait for.
#pragma once
#include "epilogue/store_tile.cuh"
#include "impls/stream_products.cuh"

/// Of a block, a StreamBlock.
template <typename TBlock>
struct StreamStore
{
    using TParameters = typename TBlock::TParameters;
    using TActivation = typename TBlock::TActivation;
    using Sums = typename StreamProducts<TBlock>::Sums;

    /// What a lane needs of memory to store a tile: the biases of its rows, and the tile's pair with the lane's number.
    struct Fetched
    {
        float2 bias;
        int pair;
    };

    /// A tile that this warpgroup has still to store.
    struct Pending
    {
        StreamTile tile = {-1};
        u32 index;  // of the block's tiles
        int use;    // parity of the buffer of sums' use; less than 0: there are no others' sums
        float d[TBlock::kColumns / 2];
        Fetched fetched;

        __device__ __forceinline__ bool is_there() const { return tile.is_there(); }
    };

    /// Where a thread's sums of a tile go, as long as a warpgroup stores it.
    static __device__ __forceinline__ u32 sums_for(u32 shared, int storing, int group)
    {
        return shared + TBlock::kSumBase + threadIdx.x % 128 * 16 + storing * TBlock::kSumBytes + group * TBlock::kShareBytes;
    }

    /// Hands this warpgroup's sums to the one that stores the tile.
    static __device__ __forceinline__ void hand_over(const Sums& d, u32 shared, int storing, int group, int use)
    {
        const u32 full = shared + TBlock::kSumBarrierBase + storing * 8;
        mbarrier_wait(full + TBlock::kGroups * 8, (use & 1) ^ 1);
        store_shared(sums_for(shared, storing, group), bits_of(d.even[0] + d.odd[0], d.even[1] + d.odd[1], d.even[2] + d.odd[2], d.even[3] + d.odd[3]));
        __syncwarp();
        if (threadIdx.x % 32 == 0)
        {
            mbarrier_arrive(full);
        }
    }

    /// Adds the warpgroups' sums of a tile, in the warpgroups' order. Its own go the same way: no other addresses then, and no choice among them.
    static __device__ __forceinline__ void add_up(float (&d)[TBlock::kColumns / 2], u32 shared, int group, int use)
    {
        const u32 full = shared + TBlock::kSumBarrierBase + group * 8, first = sums_for(shared, group, 0);
        store_shared(first + group * TBlock::kShareBytes, bits_of(d[0], d[1], d[2], d[3]));
        mbarrier_wait(full, use & 1);
        uint4 sums[TBlock::kGroups];
#pragma unroll
        for (int g = 0; g < TBlock::kGroups; g++)
        {
            sums[g] = load_shared(first + g * TBlock::kShareBytes);
        }

        __syncwarp();
        if (threadIdx.x % 32 == 0)
        {
            mbarrier_arrive(full + TBlock::kGroups * 8);
        }

#pragma unroll
        for (int g = 0; g < TBlock::kGroups; g++)
        {
            const float own[4] = {__uint_as_float(sums[g].x), __uint_as_float(sums[g].y), __uint_as_float(sums[g].z), __uint_as_float(sums[g].w)};
#pragma unroll
            for (int i = 0; i < 4; i++)
            {
                d[i] = g == 0 ? own[i] : d[i] + own[i];
            }
        }
    }

    /// What a warpgroup needs of memory to store a tile of routed experts.
    static __device__ __forceinline__ Fetched fetch_for_store(const TParameters& q, const StreamTile& tile)
    {
        const u32 lane = threadIdx.x % 32;
        const StreamProduct& p = tile.is_first() ? q.first : q.second;
        Fetched fetched = {of_rows(tile.is_second_half() ? nullptr : p.bias, tile, p.rows, kHasNeurons && tile.is_first(), 0), 0};
        if (lane < tile.count())
        {
            fetched.pair = q.sorted_pairs[tile.first() + lane];
        }

        return fetched;
    }

    static __device__ __forceinline__ void store(const TParameters& q, Pending& pending, u32 shared, int group, StreamTiles tiles, Probe& probe)
    {
        const StreamTile& tile = pending.tile;
        probe.from();
        if (pending.use >= 0)
        {
            add_up(pending.d, shared, group, pending.use);
        }

        probe.add(1);
        probe.from();
        if (TBlock::is_shared(tile))
        {
            store_shared_experts(q, pending, group);
        }
        else if (tile.is_first())
        {
            const StreamProduct& p = q.first;
            multiply_by_factors<kHasNeurons>(pending.d, p.factor, tile, p.rows);
            const auto rounding = TBlock::TRounding::template of<TBlock::kGroups, TBlock::kColumns>(group);
            const auto results = results_of(TActivation{q.activation}, pending, group, rounding);

            // A column is a token: it goes to as many pairs as have it.
#pragma unroll 1
            for (u32 i = 0; i < tile.count(); i++)
            {
                const u32 token = __shfl_sync(~0u, pending.fetched.pair, i) * q.token_factor >> 16;
                if (token / 2 == threadIdx.x % 4)
                {
                    store_column(results, token % 2, tile, p.rows, p.out + (tile.first() + i) * (u32)p.out_stride);
                }
            }
        }
        else
        {
            const StreamProduct& p = q.second;
            multiply_by_factors<false>(pending.d, p.factor, tile, p.rows);
            const float2 bias = pending.fetched.bias;
            const float* d = pending.d;
            const Results<2> results = {{pack_bf16(d[0] + bias.x, d[1] + bias.x), pack_bf16(d[2] + bias.y, d[3] + bias.y)}};
            u16* const out = p.out + (tile.is_second_half() ? q.pairs * (u32)p.out_stride : 0);
            store_columns(results, tile, p.rows, out, p.out_stride, [&](int column) { return __shfl_sync(~0u, pending.fetched.pair, column); });
        }

        if (tile.is_first())
        {
            tiles.taken = pending.index;
            tiles.arrive_stored();
        }

        probe.add(2);
    }

private:
    /// Whether rows g and g + 8 of the first product's tiles are one neuron's gate and up, which follow each other in memory.
    static constexpr bool kHasNeurons = TBlock::kIsGated;

    /// A lane's results: two columns a word, of its row g, and of row g + 8 where that is another one's.
    template <int kRows>
    struct Results
    {
        u32 rows[kRows];
    };

    static __device__ __forceinline__ uint4 bits_of(float x, float y, float z, float w)
    {
        return make_uint4(__float_as_uint(x), __float_as_uint(y), __float_as_uint(z), __float_as_uint(w));
    }

    static __device__ __forceinline__ int row_of_warp(const StreamTile& tile) { return tile.row + threadIdx.x % 128 / 32 * kGroupRows; }

    /// What there is for each row of each expert, of a lane's two rows of a tile.
    static __device__ __forceinline__ float2 of_rows(const float* all, const StreamTile& tile, int rows, bool are_neurons, float where_none)
    {
        const int row = row_of_warp(tile), g = threadIdx.x % 32 / 4;
        if (all == nullptr || row >= rows)
        {
            return make_float2(where_none, where_none);
        }

        const float* own = all + (u32)(tile.number() * rows + row + (are_neurons ? 2 * g : g));
        return make_float2(own[0], own[are_neurons ? 1 : kGroupRows / 2]);
    }

    template <bool kAreNeurons>
    static __device__ __forceinline__ void multiply_by_factors(float (&d)[TBlock::kColumns / 2], const float* factor, const StreamTile& tile, int rows)
    {
        if (factor != nullptr)
        {
            const float2 own = of_rows(factor, tile, rows, kAreNeurons, 1);
            d[0] *= own.x;
            d[1] *= own.x;
            d[2] *= own.y;
            d[3] *= own.y;
        }
    }

    /// What the first product makes of a tile's sums. All warps of the warpgroup.
    template <typename TOwnRounding>
    static __device__ __forceinline__ auto results_of(const TActivation& activation, Pending& pending, int group, const TOwnRounding& rounding)
    {
        constexpr int kColumns = TBlock::kColumns;
        const int columns = threadIdx.x % 4;
        const float2 bias = pending.fetched.bias;
        float (&d)[kColumns / 2] = pending.d;
        auto wait_for_others = [&] {
            if constexpr (TOwnRounding::kAsksOthers)
            {
                named_barrier(kGroupBarrier + group, 128);
            }
        };
        if constexpr (kHasNeurons)
        {
            rounding.template prepare<kColumns, kColumns>(activation, d, bias, 0);
            wait_for_others();
            const u32 scales = rounding.template scales<kColumns>();
            wait_for_others();
            return Results<1>{{rounding.round(activation, d, bias, columns, scales)}};
        }
        else
        {
            d[0] = activation(d[0] + bias.x);
            d[1] = activation(d[1] + bias.x);
            d[2] = activation(d[2] + bias.y);
            d[3] = activation(d[3] + bias.y);
            rounding.template prepare_rows<kColumns, kColumns>(d, 0);
            wait_for_others();
            const u32 scales = rounding.template scales_rows<kColumns>();
            wait_for_others();
            return Results<2>{{rounding.round_rows(d, columns, scales), rounding.round_rows(d + 2, columns, scales)}};
        }
    }

    /// One of a lane's two columns, to a row of results.
    template <int kRows>
    static __device__ __forceinline__ void store_column(const Results<kRows>& results, int column, const StreamTile& tile, int rows, u16* out)
    {
        const int row = row_of_warp(tile);
        if (row < rows)
        {
            u16* const to = out + row / (3 - kRows) + threadIdx.x % 32 / 4;
#pragma unroll
            for (int i = 0; i < kRows; i++)
            {
                to[i * (kGroupRows / 2)] = results.rows[i] >> 16 * column;
            }
        }
    }

    /// Both of them. `row_of`: the row of results that a column goes to; all lanes ask.
    template <int kRows, typename TRowOf>
    static __device__ __forceinline__ void store_columns(const Results<kRows>& results, const StreamTile& tile, int rows, u16* out, u32 out_stride,
                                                         const TRowOf& row_of)
    {
#pragma unroll
        for (int i = 0; i < 2; i++)
        {
            const u32 column = threadIdx.x % 4 * 2 + i, to = row_of(column);
            if (column < tile.count())
            {
                store_column(results, i, tile, rows, out + to * out_stride);
            }
        }
    }

    static __device__ __forceinline__ void store_shared_experts(const TParameters& q, Pending& pending, int group)
    {
        if constexpr (TBlock::kHasShared)
        {
            const StreamTile& tile = pending.tile;
            const SharedStreamProduct& p = TBlock::shared_product(q, tile.is_first());
            if (tile.is_first())
            {
                multiply_by_factors<kHasNeurons>(pending.d, p.factor, tile, p.rows);
                const auto results = results_of(TActivation{q.shared_activation}, pending, group, RoundBf16());
                store_columns(results, tile, p.rows, (u16*)p.out, q.shared_second.depth, [](int column) { return column; });
            }
            else
            {
                multiply_by_factors<false>(pending.d, p.factor, tile, p.rows);
                const int row = row_of_warp(tile) + threadIdx.x % 32 / 4;
#pragma unroll
                for (int i = 0; i < TBlock::kColumns / 2; i++)
                {
                    const u32 token = threadIdx.x % 4 * 2 + i % 2;
                    if (token < tile.count())
                    {
                        ((float*)p.out)[token * (u32)p.rows + row + i / 2 * (kGroupRows / 2)] = pending.d[i];
                    }
                }
            }
        }
    }
};
