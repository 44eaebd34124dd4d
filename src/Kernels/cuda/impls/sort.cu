// Sorting by expert as a launch of its own: for many tokens, and for routing that the caller hands in. A block of 1024 threads per expert, each
// of which reads all ids: they are few bytes, and no block waits for another. Stable, as sort_pairs.
#include "routing/sort.cuh"

struct SortParameters
{
    const int* ids;  // [pairs]
    SortTarget target;
    int pairs;
    int reserved;
};

namespace
{
constexpr int kWarps = 32, kAtOnce = 8;

/// Calls `visit` with each pair of a warp's stretch, 32 at a time, and its expert among the target's; −1 beyond the stretch's end.
template <typename TVisit>
__device__ __forceinline__ void visit_ids(const int* ids, int first_expert, int begin, int end, const TVisit& visit)
{
    for (int base = begin; base < end; base += 32 * kAtOnce)
    {
        int id[kAtOnce];
#pragma unroll
        for (int i = 0; i < kAtOnce; i++)
        {
            const int pair = base + i * 32 + threadIdx.x % 32;
            id[i] = load_coherent(ids + min(pair, end - 1));
            id[i] = pair < end ? id[i] - first_expert : -1;
        }

#pragma unroll
        for (int i = 0; i < kAtOnce; i++)
        {
            visit(base + i * 32 + (int)threadIdx.x % 32, id[i]);
        }
    }
}

/// Blocks of rows: each block knows how many the experts before its own have only from counting their pairs.
__device__ __forceinline__ void make_row_blocks(const SortParameters& p, int expert, int offset, int own)
{
    __shared__ int counts[1024];
    const SortTarget& target = p.target;
    for (int e = threadIdx.x; e < target.experts; e += 32 * kWarps)
    {
        counts[e] = 0;
    }

    __syncthreads();
    for (int pair = threadIdx.x; pair < p.pairs; pair += 32 * kWarps)
    {
        const int id = load_coherent(p.ids + pair) - target.first_expert;
        if ((u32)id < (u32)target.experts)
        {
            atomicAdd(counts + id, 1);
        }
    }

    __syncthreads();
    int before = 0;
    for (int e = 0; e < expert; e++)
    {
        before += ceil_div(counts[e], target.block_rows);
    }

    const int blocks = ceil_div(own, target.block_rows);
    for (int b = threadIdx.x; b < blocks; b += 32 * kWarps)
    {
        target.row_blocks[before + b] = make_int4(expert, offset + b * target.block_rows, min(target.block_rows, own - b * target.block_rows), 0);
    }

    if (expert == target.experts - 1 && threadIdx.x == 0)
    {
        *target.row_block_count = before + blocks;
    }
}
}

extern "C" __global__ void __launch_bounds__(1024) moe_sort(const __grid_constant__ SortParameters p)
{
    __shared__ int less_of[kWarps], own_of[kWarps];
    const int expert = blockIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    if (threadIdx.x == 0)
    {
        if (p.target.lets_next_begin_late())
        {
            wait_for_previous_launch();
        }

        if (expert == 0)
        {
            p.target.clear_early_counter();
        }

        store_relaxed(p.target.early_offsets + expert, kNoOffset);
        if (expert == p.target.experts - 1)
        {
            store_relaxed(p.target.early_offsets + p.target.experts, kNoOffset);
        }

        __threadfence();
        allow_next_launch();
    }

    wait_for_previous_launch();

    // Each warp has a stretch of pairs.
    const int stretch = ceil_div(ceil_div(p.pairs, kWarps), 32) * 32, begin = min(p.pairs, warp * stretch), end = min(p.pairs, begin + stretch);
    int less = 0, own = 0;
    visit_ids(p.ids, p.target.first_expert, begin, end, [&](int, int id) {
        less += __popc(__ballot_sync(~0u, (u32)id < (u32)expert));
        own += __popc(__ballot_sync(~0u, id == expert));
    });
    if (lane == 0)
    {
        less_of[warp] = less;
        own_of[warp] = own;
    }

    __syncthreads();
    const int offset = __reduce_add_sync(~0u, less_of[lane]), all = __reduce_add_sync(~0u, own_of[lane]);
    int place = offset + __reduce_add_sync(~0u, lane < warp ? own_of[lane] : 0);
    if (expert == 0)
    {
        p.target.counters.clear(p.target.experts);
    }

    if (threadIdx.x == 0)
    {
        p.target.set_offset(expert, offset);
        if (expert == p.target.experts - 1)
        {
            p.target.set_offset(p.target.experts, offset + all);
        }
    }

    visit_ids(p.ids, p.target.first_expert, begin, end, [&](int pair, int id) {
        const u32 same = __ballot_sync(~0u, id == expert);
        if (id == expert)
        {
            p.target.sorted_pairs[place + __popc(same & ((1u << lane) - 1))] = pair;
        }

        place += __popc(same);
    });
    if (p.target.block_rows > 0)
    {
        make_row_blocks(p, expert, offset, all);
    }
}
