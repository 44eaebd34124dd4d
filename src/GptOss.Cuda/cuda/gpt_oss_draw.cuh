// Drawing a token: of those that are likely enough, in their order, the first whose probabilities together exceed a number from 0 to 1 times all of theirs. The
// vocabulary is cut into shares, each of which one warp sums; their sums say which one the token is in.
#pragma once
#include "gpt_oss_candidate.cuh"

constexpr int kDrawWarps = 32;

struct Draw
{
    double unit;        // 0 to 1
    float temperature;  // 0 for the likeliest token
    float least;        // the weight from which on a token is in the draw, relative to the likeliest one's
    double top_p;       // the share of all weights that the likeliest ones in the draw have together; 1 for all
};

/// Rows of logits in pieces of the vocabulary, as ranks have them, one piece's rows behind another's.
struct LogitPieces
{
    const float* first;  // [pieces, rows, tokens of the piece]
    i64 stride;          // from one piece to the next
    int tokens;          // of a piece; the last one may have fewer
    int vocabulary;      // of all pieces

    /// A row of a piece; token ids, less the piece's first one, lead to logits.
    __device__ __forceinline__ const float* row(int piece, int row) const
    {
        return first + piece * stride + (i64)row * min(tokens, vocabulary - piece * tokens);
    }
};

/// Of a row of logits the weight of each token: exp((logit − highest) ÷ temperature), or nothing.
struct Weights
{
    const LogitPieces& logits;
    const u32* banned;
    int row;
    float highest, scale, least;

    __device__ __forceinline__ Weights(const LogitPieces& logits, int row, const u32* banned, float highest, const Draw& draw)
        : logits(logits), banned(banned), row(row), highest(highest), scale(1.4426950408889634f / draw.temperature), least(draw.least)
    {
    }

    __device__ __forceinline__ float of(int id) const
    {
        const int piece = id / logits.tokens;
        return of(id, logits.row(piece, row)[id - piece * logits.tokens]);
    }

    __device__ __forceinline__ float of(int id, float logit) const
    {
        // The bit is loaded in any case, so that the loads of the next tokens need not wait for what this one's logit says.
        const float weight = of_logit(logit);
        const u32 is_banned = banned[id / 32] >> id % 32 & 1;
        return is_banned == 0 && weight >= least ? weight : 0.0f;
    }

    /// Of one that is in the draw.
    __device__ __forceinline__ float of_logit(float logit) const { return exp2f((logit - highest) * scale); }

    /// What each piece has of a range: calls with the logit of the piece's first token, that token, and the end of both.
    template <typename TAction>
    __device__ __forceinline__ void each_piece(int begin, int end, const TAction& action) const
    {
#pragma unroll 1
        for (int piece = begin / logits.tokens; piece * logits.tokens < end; piece++)
        {
            const int first = piece * logits.tokens;
            action(logits.row(piece, row), first, min(first + logits.tokens, end));
        }
    }

    /// The sum of a range's. One warp. How the logits lie changes nothing: each lane adds the same tokens in the same order.
    __device__ __forceinline__ float sum(int begin, int end) const
    {
        float sum = 0.0f;
        int id = begin + (int)threadIdx.x % 32;
        each_piece(begin, end, [&](const float* piece, int first, int stop) {
#pragma unroll 8
            for (; id < stop; id += 32)
            {
                sum += of(id, piece[id - first]);
            }
        });

#pragma unroll
        for (int d = 16; d > 0; d /= 2)
        {
            sum += __shfl_xor_sync(~0u, sum, d);
        }

        return sum;
    }
};

/// The sum of shares' sums.
__device__ __forceinline__ double add_shares(const float* sums, int count)
{
    double all = 0.0;
#pragma unroll 4
    for (int i = 0; i < count; i++)
    {
        all += sums[i];
    }

    return all;
}

/// The share that the target lies in; takes what comes before it from the target. Where rounding leaves the target beyond all, it is in the last one that has
/// something.
__device__ __forceinline__ int find_share(const float* sums, int count, double& target)
{
    int share = 0;
    double before = 0.0, before_share = 0.0;
#pragma unroll 1
    for (int i = 0; i < count; i++)
    {
        if (sums[i] > 0.0f)
        {
            share = i;
            before_share = before;
            if (before + sums[i] > target)
            {
                break;
            }
        }

        before += sums[i];
    }

    target -= before_share;
    return share;
}

/// The token of a share's range that the target lies in; what a block's first warp returns counts. kDrawWarps warps.
__device__ __forceinline__ int draw_of_share(const Weights& weights, int first, int end, double target)
{
    __shared__ float sums[kDrawWarps];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, size = ceil_div(end - first, kDrawWarps);
    const int begin = min(first + warp * size, end), stop = min(begin + size, end);
    const float sum = weights.sum(begin, stop);
    if (lane == 0)
    {
        sums[warp] = sum;
    }

    __syncthreads();
    const int from = min(first + find_share(sums, kDrawWarps, target) * size, end), to = min(from + size, end);

    // A few hundred tokens are left: a warp goes over them 32 at a time.
    int last = from;
    for (int id = from; id < to; id += 32)
    {
        const float weight = id + lane < to ? weights.of(id + lane) : 0.0f;
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
            return id + __ffs(reached) - 1;
        }

        last = there != 0 ? id + 31 - __clz(there) : last;
        target -= __shfl_sync(~0u, up_to, 31);
    }

    return last;
}
