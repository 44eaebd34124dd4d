// Sorting (token, k) pairs by expert inside one thread block: stable, so the same routing gives the same order each time.
#pragma once
#include "ptx.cuh"

/// Where a block of the sort writes. A pair is token * top_k + k.
struct SortTarget
{
    int* expert_offsets;  // [experts + 1]: first sorted position of each expert
    int* sorted_pairs;    // [pairs]: pairs in order of expert, then of pair
    int4* row_blocks;     // {expert, first sorted position, rows, 0}: each expert's positions in blocks of at most block_rows
    int* row_block_count; // [1]
    int block_rows;       // 0: none are made
};

/// Exclusive prefix sums of a and b over the block's threads; totals in the last two arguments. `scratch` holds 2 × 32 ints.
template <int kThreads>
__device__ __forceinline__ void block_scan_pair(int& a, int& b, int& total_a, int& total_b, int* scratch)
{
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int sum_a = a, sum_b = b;
#pragma unroll
    for (int d = 1; d < 32; d *= 2)
    {
        const int up_a = __shfl_up_sync(~0u, sum_a, d), up_b = __shfl_up_sync(~0u, sum_b, d);
        if (lane >= d)
        {
            sum_a += up_a;
            sum_b += up_b;
        }
    }

    if (lane == 31)
    {
        scratch[warp] = sum_a;
        scratch[32 + warp] = sum_b;
    }

    __syncthreads();
    int before_a = 0, before_b = 0;
    total_a = total_b = 0;
#pragma unroll 4
    for (int w = 0; w < kThreads / 32; w++)
    {
        const int wa = scratch[w], wb = scratch[32 + w];
        before_a += w < warp ? wa : 0;
        before_b += w < warp ? wb : 0;
        total_a += wa;
        total_b += wb;
    }

    a = before_a + sum_a - a;
    b = before_b + sum_b - b;
}

/// Sorts `pairs` ids; ids outside of 0 … experts − 1 are left out. `counts` is shared memory of (kThreads / 32) × experts + 64 + pairs ints.
/// At most 2 × kThreads experts.
template <int kThreads>
__device__ __forceinline__ void sort_pairs(const int* global_ids, int pairs, int experts, const SortTarget& target, int* counts)
{
    constexpr int kWarps = kThreads / 32;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int* scratch = counts + kWarps * experts;
    int* ids = scratch + 64;
    for (int i = threadIdx.x; i < pairs; i += kThreads)
    {
        ids[i] = load_coherent(global_ids + i);
    }

    for (int i = threadIdx.x; i < kWarps * experts; i += kThreads)
    {
        counts[i] = 0;
    }

    __syncthreads();
    // Each warp owns one stretch of pairs, and counts it.
    const int stretch = ceil_div(ceil_div(pairs, kWarps), 32) * 32;
    const int begin = warp * stretch, end = min(pairs, begin + stretch);
    int* mine = counts + warp * experts;
    for (int base = begin; base < end; base += 32)
    {
        const int pair = base + lane;
        int id = pair < end ? ids[pair] : -1;
        id = (u32)id < (u32)experts ? id : -1;
        const u32 same = __match_any_sync(~0u, id);
        if (id >= 0 && lane == __ffs(same) - 1)
        {
            mine[id] += __popc(same);
        }

        __syncwarp();
    }

    __syncthreads();
    // Two neighbouring experts a thread: totals, then where each expert begins, then where each warp's part of it begins.
    int total[2] = {0, 0};
    const int first_expert = threadIdx.x * 2;
#pragma unroll
    for (int i = 0; i < 2; i++)
    {
        if (first_expert + i < experts)
        {
#pragma unroll 4
            for (int w = 0; w < kWarps; w++)
            {
                int& slot = counts[w * experts + first_expert + i];
                const int n = slot;
                slot = total[i];
                total[i] += n;
            }
        }
    }

    const int height = target.block_rows;
    const int blocks[2] = {height > 0 ? ceil_div(total[0], height) : 0, height > 0 ? ceil_div(total[1], height) : 0};
    int offset = total[0] + total[1], block = blocks[0] + blocks[1], all, all_blocks;
    block_scan_pair<kThreads>(offset, block, all, all_blocks, scratch);
#pragma unroll
    for (int i = 0; i < 2; i++)
    {
        const int expert = first_expert + i;
        if (expert < experts)
        {
#pragma unroll 4
            for (int w = 0; w < kWarps; w++)
            {
                counts[w * experts + expert] += offset;
            }

            target.expert_offsets[expert] = offset;
            if (height > 0)
            {
                for (int b = 0; b < blocks[i]; b++)
                {
                    target.row_blocks[block + b] = make_int4(expert, offset + b * height, min(height, total[i] - b * height), 0);
                }
            }

            offset += total[i];
            block += blocks[i];
        }
    }

    if (threadIdx.x == 0)
    {
        target.expert_offsets[experts] = all;
        if (height > 0)
        {
            *target.row_block_count = all_blocks;
        }
    }

    __syncthreads();
    for (int base = begin; base < end; base += 32)
    {
        const int pair = base + lane;
        int id = pair < end ? ids[pair] : -1;
        id = (u32)id < (u32)experts ? id : -1;
        const u32 same = __match_any_sync(~0u, id);
        const int rank = __popc(same & ((1u << lane) - 1));
        int place = 0;
        if (id >= 0)
        {
            place = mine[id];
            target.sorted_pairs[place + rank] = pair;
        }

        __syncwarp();
        if (id >= 0 && rank == 0)
        {
            mine[id] = place + __popc(same);
        }

        __syncwarp();
    }
}

/// The same for at most 32 pairs whose ids are in shared memory, those after the last pair being 0x7fffffff. At least 64 threads.
__device__ __forceinline__ void sort_few_pairs(const int* ids, int pairs, int experts, const SortTarget& target)
{
    const int lane = threadIdx.x % 32;
    if (threadIdx.x >= 32)
    {
        for (int expert = threadIdx.x - 32; expert <= experts; expert += blockDim.x - 32)
        {
            int before = 0;
#pragma unroll
            for (int q = 0; q < 32; q++)
            {
                before += ids[q] < expert;
            }

            target.expert_offsets[expert] = before;
        }

        return;
    }

    const int id = ids[lane];
    const bool valid = (u32)id < (u32)experts;
    int less = 0, rank = 0, same = 0;
#pragma unroll
    for (int q = 0; q < 32; q++)
    {
        const int other = ids[q];
        less += other < id;
        rank += other == id && q < lane;
        same += other == id;
    }

    if (valid)
    {
        target.sorted_pairs[less + rank] = lane;
    }

    if (target.block_rows == 0)
    {
        return;
    }

    const bool begins = valid && rank % target.block_rows == 0;
    const u32 all = __ballot_sync(~0u, begins);
    int block = 0;
#pragma unroll
    for (int q = 0; q < 32; q++)
    {
        block += (all >> q & 1) != 0 && (ids[q] < id || (ids[q] == id && q < lane));
    }

    if (begins)
    {
        target.row_blocks[block] = make_int4(id, less + rank, min(target.block_rows, same - rank), 0);
    }

    if (lane == 0)
    {
        *target.row_block_count = __popc(all);
    }
}
