// Sorting (token, k) pairs by expert inside one thread block: stable, so the same routing gives the same order each time.
#pragma once
#include "scheduler/product_counters.cuh"

/// What stands in SortTarget::early_offsets until an offset comes.
constexpr u32 kNoOffset = 0xffffffffu;

/// Where a block of the sort writes. A pair is token * top_k + k.
struct SortTarget
{
    int* expert_offsets;  // [experts + 1]: first sorted position of each expert
    int* sorted_pairs;    // [pairs]: pairs in order of expert, then of pair
    int4* row_blocks;     // {expert, first sorted position, rows, 0}: each expert's positions in blocks of at most block_rows
    int* row_block_count; // [1]
    ProductCounters counters;  // those of the products that follow: cleared
    u32* early_offsets;   // [experts + 1]: expert_offsets for readers that wait for each word to differ from kNoOffset, not for the launch's end
    int* early_counter;   // [1]: what a launch counts that begins before this one has sorted: cleared before it may. Null: no such launch follows
    int block_rows;       // 0: none are made
    int experts;          // of this device: pairs of others are left out
    int first_expert;     // the id of the first of them

    /// Whether the next launch, which does not wait for this one, uses what launches before this one may still have in hand: it may begin when those have
    /// ended, and not before.
    __device__ __forceinline__ bool lets_next_begin_late() const { return early_counter != nullptr; }

    /// One thread, when the launches before have ended.
    __device__ __forceinline__ void clear_early_counter() const
    {
        if (early_counter != nullptr)
        {
            store_relaxed((u32*)early_counter, 0);
        }
    }

    /// One warp, before it lets the next launch begin, of a block that all writers of offsets have waited for; clears the counter, too.
    __device__ __forceinline__ void empty_early_offsets() const
    {
        if (threadIdx.x % 32 == 0)
        {
            clear_early_counter();
        }

        for (int expert = threadIdx.x % 32; expert <= experts; expert += 32)
        {
            store_relaxed(early_offsets + expert, kNoOffset);
        }

        __threadfence();
        __syncwarp();
    }

    __device__ __forceinline__ void set_offset(int expert, int first) const
    {
        store_relaxed(early_offsets + expert, first);
        expert_offsets[expert] = first;
    }
};

/// How many of an expert's pairs are in the first groups.
__device__ __forceinline__ int count_members(const u32* members, int experts, int groups)
{
    int count = 0;
#pragma unroll 1
    for (int first = 0; first < groups; first += 4)
    {
#pragma unroll
        for (int group = first; group < first + 4; group++)
        {
            const u32 word = members[min(group, groups - 1) * experts];
            count += group < groups ? __popc(word) : 0;
        }
    }

    return count;
}

/// Up to so many pairs are counted by comparing each with each.
constexpr int kFewPairs = 64;

/// Whether sort_few_pairs does what sort_pairs would.
__device__ __forceinline__ bool sorts_as_few(int pairs, const SortTarget& target)
{
    return pairs <= kFewPairs && target.block_rows == 0;
}

/// The same as sort_pairs for few pairs without blocks of rows: no thread waits for another. In vain nothing is written.
template <int kThreads>
__device__ __forceinline__ void sort_few_pairs(const int* ids, int pairs, const SortTarget& target, bool in_vain = false)
{
    const int experts = target.experts;
    for (int expert = threadIdx.x; expert <= experts; expert += kThreads)
    {
        int before = 0;
#pragma unroll 8
        for (int pair = 0; pair < pairs; pair++)
        {
            before += (u32)(ids[pair] - target.first_expert) < (u32)expert;
        }

        if (!in_vain)
        {
            target.set_offset(expert, before);
        }
    }

    if (!in_vain)
    {
        target.counters.clear(experts);
    }

    // Other threads than those of the first experts.
    for (int pair = kThreads - 1 - threadIdx.x; pair < pairs; pair += kThreads)
    {
        const u32 own = ids[pair] - target.first_expert;
        int place = 0;
#pragma unroll 8
        for (int other = 0; other < pairs; other++)
        {
            const u32 id = ids[other] - target.first_expert;
            place += id < own || (id == own && other < pair);
        }

        if (own < (u32)experts && !in_vain)
        {
            target.sorted_pairs[place] = pair;
        }
    }
}

/// Sorts some hundred ids, which lie in shared memory; those of other experts than the target's are left out. `scratch` is shared memory of
/// (ceil(pairs / 32) + 1) × experts ints.
template <int kThreads>
__device__ __forceinline__ void sort_pairs(const int* ids, int pairs, const SortTarget& target, int* scratch)
{
    if (sorts_as_few(pairs, target))
    {
        sort_few_pairs<kThreads>(ids, pairs, target);
        return;
    }

    // Pairs are taken 32 at a time. members[c · experts + e] says which of group c have expert e.
    constexpr int kWarps = kThreads / 32;
    const int experts = target.experts;
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, groups = ceil_div(pairs, 32);
    u32* members = (u32*)scratch;
    int* begins = scratch + groups * experts;
    target.counters.clear(experts);
    for (int i = threadIdx.x; i < groups * experts; i += kThreads)
    {
        members[i] = 0;
    }

    __syncthreads();
#pragma unroll 1
    for (int group = warp; group < groups; group += kWarps)
    {
        const int pair = group * 32 + lane, id = pair < pairs ? ids[pair] - target.first_expert : -1;
        const u32 same = __match_any_sync(~0u, id);
        if ((u32)id < (u32)experts)
        {
            members[group * experts + id] = same;
        }
    }

    __syncthreads();
#pragma unroll 1
    for (int expert = threadIdx.x; expert < experts; expert += kThreads)
    {
        begins[expert] = count_members(members + expert, experts, groups);
    }

    __syncthreads();
    if (warp == 0)
    {
        // Where each expert's pairs begin in the low half, where its blocks of rows begin in the high one.
        const int height = target.block_rows;
        u32 before = 0;
#pragma unroll 1
        for (int base = 0; base < experts; base += 32)
        {
            const int expert = base + lane, count = expert < experts ? begins[expert] : 0;
            u32 own = count;
#pragma unroll 1
            for (int row = 0; height > 0 && row < count; row += height)
            {
                own += 1 << 16;
            }

            u32 sum = own;
#pragma unroll
            for (int d = 1; d < 32; d *= 2)
            {
                const u32 up = __shfl_up_sync(~0u, sum, d);
                sum += lane >= d ? up : 0;
            }

            const u32 begin = before + sum - own;
            const int first = begin & 0xffff;
            before += __shfl_sync(~0u, sum, 31);
            if (expert < experts)
            {
                begins[expert] = first;
                target.set_offset(expert, first);
#pragma unroll 1
                for (int row = 0, block = begin >> 16; height > 0 && row < count; row += height)
                {
                    target.row_blocks[block++] = make_int4(expert, first + row, min(height, count - row), 0);
                }
            }
        }

        if (lane == 0)
        {
            target.set_offset(experts, before & 0xffff);
            if (height > 0)
            {
                *target.row_block_count = before >> 16;
            }
        }
    }

    __syncthreads();
#pragma unroll 1
    for (int group = warp; group < groups; group += kWarps)
    {
        const int pair = group * 32 + lane, id = pair < pairs ? ids[pair] - target.first_expert : -1;
        if ((u32)id < (u32)experts)
        {
            const int before = count_members(members + id, experts, group) + __popc(members[group * experts + id] & ((1u << lane) - 1));
            target.sorted_pairs[begins[id] + before] = pair;
        }
    }
}
