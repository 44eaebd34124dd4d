// The next token: the likeliest of the candidates, or one that is drawn: of the tokens that are likely enough, in their order, the first whose probabilities
// together exceed a number from 0 to 1 times all of theirs.
#include "gpt_oss_candidate.cuh"

constexpr int kChooseWarps = 32;

struct Draw
{
    double unit;        // 0 to 1
    float temperature;  // 0 for the likeliest token
    float least;        // the weight from which on a token is in the draw, relative to the likeliest one's
};

struct ChooseParameters
{
    const Candidate* candidates;  // [tokens, count]
    const float* logits;          // [tokens, vocabulary], where something is drawn
    const u32* banned;            // a bit a token
    const Draw* draws;            // [tokens]
    Candidate* chosen;            // [tokens], in the host's memory; of one that is drawn the logit is the likeliest one's
    int count;
    int vocabulary;
};

/// Of a row of logits the weight of each token: exp((logit − highest) ÷ temperature), or nothing.
struct Weights
{
    const float* logits;
    const u32* banned;
    float highest, scale, least;

    __device__ __forceinline__ float of(int id) const
    {
        const float weight = (banned[id / 32] >> id % 32 & 1) == 0 ? exp2f((logits[id] - highest) * scale) : 0.0f;
        return weight >= least ? weight : 0.0f;
    }
};

__device__ __forceinline__ float warp_sum(float v)
{
#pragma unroll
    for (int d = 16; d > 0; d /= 2)
    {
        v += __shfl_xor_sync(~0u, v, d);
    }

    return v;
}

/// Narrows a range of tokens to the warp's share of it that the target lies in, and takes what comes before it from the target.
__device__ __forceinline__ void narrow(const Weights& weights, int& first, int& end, double& target, bool is_share)
{
    __shared__ float sums[kChooseWarps];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, size = ceil_div(end - first, kChooseWarps);
    const int begin = min(first + warp * size, end), stop = min(begin + size, end);
    float sum = 0.0f;
#pragma unroll 4
    for (int id = begin + lane; id < stop; id += 32)
    {
        sum += weights.of(id);
    }

    sum = warp_sum(sum);
    __syncthreads();
    if (lane == 0)
    {
        sums[warp] = sum;
    }

    __syncthreads();
    if (is_share)
    {
        double all = 0.0;
#pragma unroll 4
        for (int w = 0; w < kChooseWarps; w++)
        {
            all += sums[w];
        }

        target *= all;
    }

    // Where rounding leaves the target beyond all, it is in the last share that has something.
    int share = 0;
    double before = 0.0, before_share = 0.0;
#pragma unroll 1
    for (int w = 0; w < kChooseWarps; w++)
    {
        if (sums[w] > 0.0f)
        {
            share = w;
            before_share = before;
            if (before + sums[w] > target)
            {
                break;
            }
        }

        before += sums[w];
    }

    target -= before_share;
    const int from = first;
    first = min(from + share * size, end);
    end = min(first + size, end);
}

/// Blocks of 1024 threads: grid (tokens).
extern "C" __global__ void __launch_bounds__(32 * kChooseWarps, 1) moe_choose(const __grid_constant__ ChooseParameters p)
{
    __shared__ Candidate found[kChooseWarps];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const Draw draw = p.draws[blockIdx.x];
    wait_for_previous_launch();
    Candidate best = {-__int_as_float(0x7f800000), kNoToken};
    for (int i = threadIdx.x; i < p.count; i += 32 * kChooseWarps)
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
    for (int w = 0; w < kChooseWarps; w++)
    {
        best = better(best, found[w]);
    }

    if (draw.temperature == 0.0f || best.id < 0)
    {
        if (threadIdx.x == 0)
        {
            p.chosen[blockIdx.x] = best;
        }

        return;
    }

    const Weights weights = {p.logits + (i64)blockIdx.x * p.vocabulary, p.banned, best.logit, 1.4426950408889634f / draw.temperature, draw.least};
    int first = 0, end = p.vocabulary;
    double target = draw.unit;
    narrow(weights, first, end, target, true);
    narrow(weights, first, end, target, false);
    if (warp > 0)
    {
        return;
    }

    // A few hundred tokens are left: one warp goes over them 32 at a time.
    int last = best.id;
    for (int id = first; id < end; id += 32)
    {
        const float weight = id + lane < end ? weights.of(id + lane) : 0.0f;
        float up_to = weight;
#pragma unroll
        for (int d = 1; d < 32; d *= 2)
        {
            const float before = __shfl_up_sync(~0u, up_to, d);
            up_to += lane >= d ? before : 0.0f;
        }

        const u32 there = __ballot_sync(~0u, weight > 0.0f), reached = __ballot_sync(~0u, weight > 0.0f && up_to > target);
        if (reached != 0)
        {
            last = id + __ffs(reached) - 1;
            break;
        }

        last = there != 0 ? id + 31 - __clz(there) : last;
        target -= __shfl_sync(~0u, up_to, 31);
    }

    if (lane == 0)
    {
        p.chosen[blockIdx.x] = {best.logit, last};
    }
}
