// The next token: the likeliest of the candidates, or one that is drawn.
#include "gpt_oss_nucleus.cuh"

struct ChooseParameters
{
    const Candidate* candidates;  // [tokens, count]
    const float* logits;          // [tokens, vocabulary], where something is drawn
    const u32* banned;            // a bit a token
    const Draw* draws;            // [tokens]; 0 where nothing is drawn
    Candidate* chosen;            // [tokens]; of one that is drawn the logit is the likeliest one's
    int count;
    int vocabulary;
};

namespace
{
/// Of all tokens that are likely enough. The threads of a block.
__device__ __forceinline__ int draw_of_all(const Weights& weights, int vocabulary, double unit)
{
    __shared__ float sums[kDrawWarps];
    const int warp = threadIdx.x / 32, size = ceil_div(vocabulary, kDrawWarps), begin = min(warp * size, vocabulary);
    const float sum = weights.sum(begin, min(begin + size, vocabulary));
    if (threadIdx.x % 32 == 0)
    {
        sums[warp] = sum;
    }

    __syncthreads();
    double target = unit * add_shares(sums, kDrawWarps);
    const int first = min(find_share(sums, kDrawWarps, target) * size, vocabulary);
    return draw_of_share(weights, first, min(first + size, vocabulary), target);
}
}

/// Blocks of 1024 threads: grid (tokens).
extern "C" __global__ void __launch_bounds__(32 * kDrawWarps, 1) moe_choose(const __grid_constant__ ChooseParameters p)
{
    __shared__ Candidate found[kDrawWarps];
    __shared__ Nucleus::Shared nucleus;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const Draw draw = p.draws != 0 ? p.draws[blockIdx.x] : Draw{0.0, 0.0f, 0.0f, 1.0};
    wait_for_previous_launch();
    Candidate best = {-__int_as_float(0x7f800000), kNoToken};
    for (int i = threadIdx.x; i < p.count; i += 32 * kDrawWarps)
    {
        best = better(best, p.candidates[(i64)blockIdx.x * p.count + i]);
    }

#pragma unroll
    for (int d = 16; d > 0; d /= 2)
    {
        best = better(best, Candidate{__shfl_xor_sync(~0u, best.logit, d), __shfl_xor_sync(~0u, best.id, d)});
    }

    if (lane == 0)
    {
        found[warp] = best;
    }

    __syncthreads();
#pragma unroll 4
    for (int w = 0; w < kDrawWarps; w++)
    {
        best = better(best, found[w]);
    }

    if (draw.temperature > 0.0f && best.id >= 0)
    {
        const Weights weights(p.logits + (i64)blockIdx.x * p.vocabulary, p.banned, best.logit, draw);
        best.id = draw.top_p < 1.0 ? Nucleus(weights, nucleus, p.vocabulary).draw(draw.unit, draw.top_p) : draw_of_all(weights, p.vocabulary, draw.unit);
    }

    if (threadIdx.x == 0)
    {
        p.chosen[blockIdx.x] = best;
    }
}
