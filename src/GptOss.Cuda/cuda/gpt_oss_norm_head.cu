// The last norm and the head for one or two tokens.
#include "gpt_oss_head.cuh"
#include "gpt_oss_weight_ring.cuh"

struct NormHeadParameters
{
    HeadParameters head;  // the product has no rows, they are normed ones
    NormedRows normed;
    RingShape ring;
};

namespace
{
constexpr int kHeadRowsBegin = 128;
static_assert(sizeof(RingBarriers) <= kHeadRowsBegin);

/// One warp.
__device__ __forceinline__ void bring_weights(const NormHeadParameters& p, RingBarriers& barriers, u32 shared)
{
    const Product& product = p.head.product;
    RingFiller filler(p.ring, barriers, shared);
#pragma unroll 1
    for (int first = blockIdx.x * kGroupRows; first < product.outputs; first += gridDim.x * kGroupRows)
    {
        filler.bring(
            min(kGroupRows, product.outputs - first), product.inputs, product.weight + (i64)(first + threadIdx.x % 32) * product.inputs, [](int) {});
    }
}
}

/// Dynamic shared memory: up to the end of the ring.
extern "C" __global__ void __launch_bounds__(kRingThreads, 1) moe_norm_head(const __grid_constant__ NormHeadParameters p)
{
    allow_next_launch();
    extern __shared__ __align__(16) char head_memory[];
    __shared__ float parts[2][kProductWarps * kNormedTokens * kGroupRows];
    RingBarriers& barriers = *(RingBarriers*)head_memory;
    const Product& product = p.head.product;
    const u32 shared = shared_address(head_memory);
    if (threadIdx.x == 0)
    {
        barriers.init(p.ring);
        mbarrier_fence_init();
    }

    __syncthreads();
    if (threadIdx.x >= kProductThreads)
    {
        bring_weights(p, barriers, shared);
        wait_for_previous_launch();
        return;
    }

    wait_for_previous_launch();
    constexpr int kOwners = kGroupRows * kNormedTokens;
    const float factor = norm_rows(product, p.normed, (u16*)(head_memory + kHeadRowsBegin));
    const int token = threadIdx.x % kNormedTokens, row = threadIdx.x / kNormedTokens;
    const bool wants_logits = *p.head.wants_logits != 0;
    RingPlace place = {0, 0};
    BestCandidate best;
    int buffer = 0;
#pragma unroll 1
    for (int first = blockIdx.x * kGroupRows; first < product.outputs; first += gridDim.x * kGroupRows)
    {
        const bool is_own = threadIdx.x < kOwners && token < product.tokens && first + row < product.outputs;
        const u32 is_banned = is_own ? p.head.is_banned(first + row) : 0;
        mbarrier_wait(shared_address(&barriers.full[place.group]), place.phase);
        multiply_group(product, p.ring, barriers, place, shared, shared + kHeadRowsBegin, parts[buffer], kGroupRows);
        wait_for_product_threads();
        if (is_own)
        {
            best.consider(p.head, first + row, token, add_up(parts[buffer], kGroupRows, token, row) * factor, wants_logits, is_banned);
        }

        // Whoever adds up this buffer has done so when all have multiplied for the other one.
        buffer ^= 1;
    }

    best.leave<kOwners>(p.head, kNormedTokens);
}
