// Weights on their way into shared memory, for products of one or two tokens: one warp fills a ring of groups of 8 rows as fast as the others empty it, so that
// as much is under way as shared memory holds, whatever those others wait for.
#pragma once
#include "gpt_oss_normed_rows.cuh"
#include "ptx/mbarrier.cuh"
#include "ptx/tma.cuh"

constexpr int kGroupRows = 8;
constexpr int kMostGroups = 8;

/// The threads that multiply, and the warp that brings weights.
constexpr int kRingThreads = kProductThreads + 32;

struct RingShape
{
    int begin;   // bytes of shared memory before the ring
    int stride;  // bytes from row to row
    int groups;  // at most kMostGroups
    int reserved;
};

struct RingBarriers
{
    u64 full[kMostGroups], empty[kMostGroups];

    /// One thread.
    __device__ __forceinline__ void init(const RingShape& ring)
    {
        for (int i = 0; i < ring.groups; i++)
        {
            mbarrier_init(shared_address(&full[i]), 1);
            mbarrier_init(shared_address(&empty[i]), kProductWarps);
        }
    }
};

/// Where the warp that brings weights is in the ring, or one that multiplies.
struct RingPlace
{
    int group;
    u32 phase;

    __device__ __forceinline__ void advance(const RingShape& ring)
    {
        group = group + 1 < ring.groups ? group + 1 : 0;
        phase ^= group == 0;
    }

    /// The address of a row of the group.
    __device__ __forceinline__ u32 row(const RingShape& ring, u32 shared, int row) const { return shared + ring.begin + (group * kGroupRows + row) * ring.stride; }
};

/// The warp that brings weights.
struct RingFiller
{
    const RingShape& ring;
    RingBarriers& barriers;
    const u32 shared;
    const u64 policy;
    RingPlace place;

    __device__ __forceinline__ RingFiller(const RingShape& ring, RingBarriers& barriers, u32 shared)
        : ring(ring), barriers(barriers), shared(shared), policy(policy_evict_first()), place({0, 1})
    {
    }

    /// Once there is room: `announce` is called by one thread, and can be seen by those that multiply when the rows are there; a lane's row begins at `from`.
    template <typename TAnnounce>
    __device__ __forceinline__ void bring(int rows, int inputs, const u16* from, const TAnnounce& announce)
    {
        const int lane = threadIdx.x % 32;
        const u32 full = shared_address(&barriers.full[place.group]), bytes = inputs * sizeof(u16);
        mbarrier_wait(shared_address(&barriers.empty[place.group]), place.phase);
        if (lane == 0)
        {
            announce(place.group);
            mbarrier_arrive_expect(full, rows * bytes);
        }

        __syncwarp();
        if (lane < rows)
        {
            bulk_load(place.row(ring, shared, lane), from, bytes, full, policy);
        }

        place.advance(ring);
    }
};

/// A warp's part of a group's outputs of each token: `parts` is [warps, kNormedTokens, part_rows]. The group's place is free then.
__device__ __forceinline__ void multiply_group(
    const Product& product, const RingShape& ring, RingBarriers& barriers, RingPlace& place, u32 shared, u32 rows, float* parts, int part_rows)
{
    const int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4;
    const int steps = product.inputs / 32, first = steps * warp / kProductWarps, count = steps * (warp + 1) / kProductWarps - first;
    const bool has_token = g < product.tokens;
    const u32 weights = place.row(ring, shared, g) + first * 64 + t * 16;
    rows += g * (product.inputs + kRowGap) * 2 + first * 64 + t * 16;
    float even[4] = {}, odd[4] = {};
#pragma unroll 4
    for (int step = 0; step < count; step++)
    {
        const uint4 column = load_shared(weights + step * 64);
        const uint4 row = has_token ? load_shared(rows + step * 64) : make_uint4(0, 0, 0, 0);
        mma_bf16(even, row.x, 0, row.y, 0, column.x, column.y);
        mma_bf16(odd, row.z, 0, row.w, 0, column.z, column.w);
    }

    __syncwarp();
    if (threadIdx.x % 32 == 0)
    {
        mbarrier_arrive(shared_address(&barriers.empty[place.group]));
    }

    place.advance(ring);
    if (has_token)
    {
        *(float2*)(parts + (warp * kNormedTokens + g) * part_rows + 2 * t) = make_float2(even[0] + odd[0], even[1] + odd[1]);
    }
}

/// The sum of the warps' parts of an output.
__device__ __forceinline__ float add_up(const float* parts, int part_rows, int token, int row)
{
    float sum = 0.0f;
#pragma unroll
    for (int w = 0; w < kProductWarps; w++)
    {
        sum += parts[(w * kNormedTokens + token) * part_rows + row];
    }

    return sum;
}
