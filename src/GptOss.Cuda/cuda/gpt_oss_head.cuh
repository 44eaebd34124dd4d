// The head: logits, and the likeliest token of what a block has.
#pragma once
#include "gpt_oss_candidate.cuh"
#include "gpt_oss_product.cuh"

struct HeadParameters
{
    Product product;
    float* logits;          // [tokens, outputs], if *wants_logits
    const int* wants_logits;
    const u32* banned;      // a bit a token
    Candidate* candidates;  // [tokens, blocks]

    /// 0 or 1.
    __device__ __forceinline__ u32 is_banned(int id) const { return banned[id / 32] >> id % 32 & 1; }
};

/// The best of what a thread sees.
struct BestCandidate
{
    Candidate best = {-__int_as_float(0x7f800000), kNoToken};

    __device__ __forceinline__ void consider(const HeadParameters& p, int id, int token, float logit, bool wants_logits, u32 is_banned)
    {
        if (wants_logits)
        {
            p.logits[(i64)token * p.product.outputs + id] = logit;
        }

        if (is_banned == 0)
        {
            best = better(best, logit == logit ? Candidate{logit, id} : Candidate{__int_as_float(0x7f800000), -1});
        }
    }

    /// The best of a token's threads, which are as far apart as there are tokens, the first kThreads of the block.
    template <int kThreads>
    __device__ __forceinline__ void leave(const HeadParameters& p, int tokens)
    {
        __shared__ Candidate found[kThreads];
        if (threadIdx.x < kThreads)
        {
            found[threadIdx.x] = best;
        }

        wait_for_product_threads();
        if (threadIdx.x < tokens && threadIdx.x < p.product.tokens)
        {
            for (int i = threadIdx.x + tokens; i < kThreads; i += tokens)
            {
                best = better(best, found[i]);
            }

            p.candidates[(i64)threadIdx.x * gridDim.x + blockIdx.x] = best;
        }
    }
};
