// The next token: the likeliest of the candidates, or one that is drawn. Ranks launch it twice: each for its likeliest token, then for the draw, from the
// gathered logits of all; all of them draw the same token.
#include "gpt_oss_nucleus.cuh"

struct ChooseParameters
{
    const Candidate* candidates;
    LogitPieces logits;  // where something is drawn; a row for each token that is chosen
    const u32* banned;   // a bit a token of all pieces
    const Draw* draws;   // [rows]; 0 where nothing is drawn
    Candidate* chosen;   // [rows]; of one that is drawn the logit is the likeliest one's
    int count;           // candidates of a row
    int row_stride;      // from the first candidate of a row to that of the next
    int stride;          // from one candidate of a row to the next
    int first_token;     // what is added to candidates' ids
};

namespace
{
/// Of all tokens that are likely enough; −1 where the likeliest logit is infinite, so that there are no weights. The threads of a block.
__device__ __forceinline__ int draw_of_all(const Weights& weights, double unit)
{
    __shared__ float sums[kDrawWarps];
    const int vocabulary = weights.logits.vocabulary, size = ceil_div(vocabulary, kDrawWarps);
    const int warp = threadIdx.x / 32, begin = min(warp * size, vocabulary);
    const float sum = weights.sum(begin, min(begin + size, vocabulary));
    if (threadIdx.x % 32 == 0)
    {
        sums[warp] = sum;
    }

    __syncthreads();
    const double all = add_shares(sums, kDrawWarps);
    if (all == 0.0)
    {
        return -1;
    }

    double target = unit * all;
    const int first = min(find_share(sums, kDrawWarps, target) * size, vocabulary);
    return draw_of_share(weights, first, min(first + size, vocabulary), target);
}
}

/// Blocks of 1024 threads: grid (rows).
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
        best = better(best, p.candidates[(i64)blockIdx.x * p.row_stride + (i64)i * p.stride]);
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

    // Nothing is added to what stands for no number, or for no token.
    best.id += best.id >= 0 && best.id != kNoToken ? p.first_token : 0;
    if (draw.temperature > 0.0f && best.id >= 0)
    {
        const Weights weights(p.logits, blockIdx.x, p.banned, best.logit, draw);
        best.id = draw.top_p < 1.0 ? Nucleus(weights, nucleus).draw(draw.unit, draw.top_p) : draw_of_all(weights, draw.unit);
    }

    if (threadIdx.x == 0)
    {
        p.chosen[blockIdx.x] = best;
    }
}
