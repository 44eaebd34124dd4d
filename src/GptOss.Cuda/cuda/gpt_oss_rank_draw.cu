// The next token where ranks have ranges of the vocabulary. Each finds its likeliest and sums its shares; who has the share that the token is in draws it. Where
// the ranges are whole shares of the vocabulary, the sums and the token are those of one device.
#include "gpt_oss_draw.cuh"

struct RankDrawParameters
{
    const Candidate* likeliest;  // [ranks, tokens], gathered; each rank's ids are its own
    const float* logits;         // [tokens, vocabulary]
    const u32* banned;           // a bit a token
    const Draw* draws;           // [tokens]
    float* own_sums;             // [tokens, shares]
    const float* sums;           // [ranks, tokens, shares], gathered
    Candidate* chosen;           // [tokens]; of a rank that has not the token the logit is −∞
    int rank;
    int ranks;
    int shares;                  // of a rank; of all ranks at most kDrawWarps
    int share_size;              // tokens; the same on all ranks
    int vocabulary;              // the rank's
    int tokens;
};

namespace
{
/// The likeliest of all ranks, of equal ones the first rank's, or what is no number; `owner` is its rank.
__device__ __forceinline__ Candidate likeliest_of_all(const RankDrawParameters& p, int token, int& owner)
{
    Candidate best = p.likeliest[token];
    owner = 0;
    for (int rank = 1; rank < p.ranks; rank++)
    {
        const Candidate other = p.likeliest[(i64)rank * p.tokens + token];
        if (other.id < 0 || (best.id >= 0 && other.logit > best.logit))
        {
            best = other;
            owner = rank;
        }
    }

    return best;
}
}

/// Blocks of 1024 threads: grid (tokens).
extern "C" __global__ void __launch_bounds__(32 * kDrawWarps, 1) moe_sum_shares(const __grid_constant__ RankDrawParameters p)
{
    allow_next_launch();
    const int token = blockIdx.x, warp = threadIdx.x / 32;
    wait_for_previous_launch();
    int owner;
    const Candidate best = likeliest_of_all(p, token, owner);
    const Draw draw = p.draws[token];
    if (warp >= p.shares || draw.temperature == 0.0f || best.id < 0)
    {
        return;
    }

    const Weights weights(p.logits + (i64)token * p.vocabulary, p.banned, best.logit, draw);
    const int begin = min(warp * p.share_size, p.vocabulary);
    const float sum = weights.sum(begin, min(begin + p.share_size, p.vocabulary));
    if (threadIdx.x % 32 == 0)
    {
        p.own_sums[token * p.shares + warp] = sum;
    }
}

/// Blocks of 1024 threads: grid (tokens).
extern "C" __global__ void __launch_bounds__(32 * kDrawWarps, 1) moe_rank_draw(const __grid_constant__ RankDrawParameters p)
{
    __shared__ float sums[kDrawWarps];
    const int token = blockIdx.x, all = p.ranks * p.shares;
    wait_for_previous_launch();
    int owner;
    Candidate chosen = likeliest_of_all(p, token, owner);
    const Draw draw = p.draws[token];
    if (draw.temperature > 0.0f && chosen.id >= 0)
    {
        if (threadIdx.x < all)
        {
            sums[threadIdx.x] = p.sums[((i64)threadIdx.x / p.shares * p.tokens + token) * p.shares + threadIdx.x % p.shares];
        }

        __syncthreads();
        double target = draw.unit * add_shares(sums, all);
        const int share = find_share(sums, all, target);
        owner = share / p.shares;
        if (owner == p.rank)
        {
            const Weights weights(p.logits + (i64)token * p.vocabulary, p.banned, chosen.logit, draw);
            const int first = min(share % p.shares * p.share_size, p.vocabulary);
            chosen.id = draw_of_share(weights, first, min(first + p.share_size, p.vocabulary), target);
        }
    }

    if (threadIdx.x == 0)
    {
        p.chosen[token] = chosen.id < 0 || owner == p.rank ? chosen : Candidate{-__int_as_float(0x7f800000), 0};
    }
}
