// The head of more tokens than gpt_oss_norm_head.cu is for.
#include "gpt_oss_head.cuh"

struct CandidateWay
{
    const HeadParameters& p;
    BestCandidate best;

    struct State
    {
        bool wants_logits;
        u32 banned, other_banned;
    };

    __device__ __forceinline__ State begin(int output, int) const
    {
        const int other = min(output + p.product.half, p.product.outputs - 1);
        return {*p.wants_logits != 0, p.is_banned(output), p.is_banned(other)};
    }

    __device__ __forceinline__ void store(int output, int token, float one, float other, const State& state)
    {
        best.consider(p, output, token, one, state.wants_logits, state.banned);
        if (output + p.product.half < p.product.outputs)
        {
            best.consider(p, output + p.product.half, token, other, state.wants_logits, state.other_banned);
        }
    }
};

template <int kTiles>
__global__ void __launch_bounds__(kProductThreads, kProductBlocks<kTiles>) moe_head(const __grid_constant__ HeadParameters p)
{
    allow_next_launch();
    CandidateWay way_out = {p};
    multiply<kTiles>(p.product, way_out);

    // Where there are fewer than 32 tokens, threads from 8 · tokens on had none.
    way_out.best.leave<kProductThreads>(p, 8 * kTiles);
}
