// The next token: the likeliest of the candidates, or one that is drawn.
#include "gpt_oss_draw.cuh"

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

/// Blocks of 1024 threads: grid (tokens).
extern "C" __global__ void __launch_bounds__(32 * kDrawWarps, 1) moe_choose(const __grid_constant__ ChooseParameters p)
{
    __shared__ Candidate found[kDrawWarps];
    __shared__ float sums[kDrawWarps];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const Draw draw = p.draws != 0 ? p.draws[blockIdx.x] : Draw{0.0, 0.0f, 0.0f};
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
        const int size = ceil_div(p.vocabulary, kDrawWarps), begin = min(warp * size, p.vocabulary);
        const float sum = weights.sum(begin, min(begin + size, p.vocabulary));
        if (lane == 0)
        {
            sums[warp] = sum;
        }

        __syncthreads();
        double target = draw.unit * add_shares(sums, kDrawWarps);
        const int first = min(find_share(sums, kDrawWarps, target) * size, p.vocabulary);
        best.id = draw_of_share(weights, first, min(first + size, p.vocabulary), target);
    }

    if (threadIdx.x == 0)
    {
        p.chosen[blockIdx.x] = best;
    }
}
