// Any program that MoeRouter can say: scores, a selection bias, groups, a table of tokens, renormalising and a scale.
#pragma once
#include "routing/router.cuh"

struct RouterProgram
{
    const float* selection_bias;  // [1024], or null
    const int* table;             // [vocabulary, top_k]: who names the experts; null where they are chosen
    const int* token_ids;         // [tokens], token_id_stride apart; read with a table
    i64 token_id_stride;          // elements
    int vocabulary;
    int score;                    // of a logit: 0 itself, 1 softmax over all, 2 sigmoid, 3 sqrt(softplus)
    int softmax_of_chosen;        // 1: the weights are a softmax over the chosen logits; 0: the scores
    int divide;                   // the weights by 0 nothing, 1 their sum + epsilon, 2 max(their sum, epsilon)
    float epsilon;
    float scale;
    int groups;                   // 1 to 32, of equally many neighbouring experts
    int top_groups;
    int best_of_group;            // what a group is worth: 1 its largest rank, 0 the sum of its two largest
    int reserved;
};

struct ProgramChoice
{
    static constexpr int kAtOnce = 2;

    const RouterProgram& program;

    /// What choose adds to ranks, which waits for nothing that this launch or the one before makes: of experts lane, lane + 32, …
    template <int kSlots>
    __device__ __forceinline__ void fetch(u32 (&biases)[kSlots]) const
    {
#pragma unroll
        for (int j = 0; j < kSlots; j++)
        {
            biases[j] = program.selection_bias != nullptr ? __float_as_uint(program.selection_bias[j * 32 + threadIdx.x % 32]) : 0;
        }
    }

    /// One warp, one token; lane l has the logits of experts l, l + 32, …, and their biases in `keys`. Returns lane k's choice: −1 for a token that the
    /// table does not know, which goes to no expert.
    template <int kSlots>
    __device__ __forceinline__ int choose(const RouterParameters& p, int token, float (&logits)[kSlots], u32 (&keys)[kSlots]) const
    {
        const RouterProgram& q = program;
        const int lane = threadIdx.x % 32;
        SoftmaxOfAll softmax = {0.0f, 1.0f};
        if (q.score == 1)
        {
            u32 all[kSlots];
#pragma unroll
            for (int j = 0; j < kSlots; j++)
            {
                all[j] = j * 32 + lane < p.experts ? rank_key(logits[j]) : 0;
            }

            softmax = SoftmaxOfAll::of(all);
        }

        // Few tokens' router reads its code from memory, and that takes longer than to run it: so it is here once, for a few of the experts at a time, which
        // go round in their registers. Logits give way to what weights are made of.
        // Without a bias and groups ranks rise with logits, and large scores may be equal where their logits are not.
        constexpr int kRound = kSlots > 4 ? kSlots / 4 : 1;
        static_assert(kSlots % kRound == 0, "all have their turn");
        const bool by_score = q.selection_bias != nullptr || q.groups > 1;
#pragma unroll 1
        for (int first = lane; first < kSlots * 32; first += kRound * 32)
        {
            float worth[kRound];
            u32 key[kRound];
#pragma unroll
            for (int i = 0; i < kRound; i++)
            {
                const float own = score(logits[i], softmax);

                // + 0 makes −0 equal to 0.
                const float rank = by_score ? own + __uint_as_float(keys[i]) + 0.0f : logits[i];
                key[i] = first + i * 32 < p.experts ? rank_key(rank) : 0;
                worth[i] = q.softmax_of_chosen ? logits[i] : own;
            }

#pragma unroll
            for (int j = 0; j < kSlots; j++)
            {
                const bool is_last = j >= kSlots - kRound;
                logits[j] = is_last ? worth[j % kRound] : logits[min(j + kRound, kSlots - 1)];
                keys[j] = is_last ? key[j % kRound] : keys[min(j + kRound, kSlots - 1)];
            }
        }

        if (q.groups > 1)
        {
            keep_best_groups(p.experts / q.groups, keys);
        }

        int given = -1;
        if (q.table != nullptr && lane < p.top_k && token < p.tokens)
        {
            const int id = q.token_ids[token * q.token_id_stride];
            given = (u32)id < (u32)q.vocabulary ? q.table[(i64)id * p.top_k + lane] : -1;
        }

        int my_id = -1;
#pragma unroll 1
        for (int k = 0; k < p.top_k; k++)
        {
            const int id = q.table != nullptr ? __shfl_sync(~0u, given, k) : BestKey::of(keys).id;
#pragma unroll
            for (int j = 0; j < kSlots; j++)
            {
                keys[j] = j * 32 + lane == id ? 0 : keys[j];
            }

            my_id = lane == k ? id : my_id;
        }

        float mine = 0.0f;
#pragma unroll
        for (int j = 0; j < kSlots; j++)
        {
            const float other = __shfl_sync(~0u, logits[j], my_id & 31);
            mine = my_id >> 5 == j ? other : mine;
        }

        const float weight = weigh(mine, my_id >= 0);
        if (lane < p.top_k && token < p.tokens)
        {
            p.ids[(i64)token * p.top_k + lane] = my_id;
            p.weights[(i64)token * p.top_k + lane] = weight;
        }

        return my_id;
    }

private:
    __device__ __forceinline__ float score(float logit, const SoftmaxOfAll& softmax) const
    {
        switch (program.score)
        {
        case 1: return expf(logit - softmax.largest) / softmax.denominator;
        case 2: return 1.0f / (1.0f + expf(-logit));
        case 3: return sqrtf(fmaxf(logit, 0.0f) + log1pf(expf(-fabsf(logit))));
        default: return logit;
        }
    }

    /// A rank in a group's worth: NaN counts for the least number.
    static __device__ __forceinline__ float worth_of(u32 key)
    {
        return key <= kNanKey ? -__uint_as_float(0x7f800000u) : key_value(key);
    }

    /// Experts of other groups than the best lose their keys. Lane g knows what group g is worth.
    template <int kSlots>
    __device__ __forceinline__ void keep_best_groups(int size, u32 (&keys)[kSlots]) const
    {
        const int lane = threadIdx.x % 32;
        u32 mine = 0;
#pragma unroll 1
        for (int group = 0; group < program.groups; group++)
        {
            u32 first = 0, second = 0;  // of this lane's
#pragma unroll
            for (int j = 0; j < kSlots; j++)
            {
                const u32 key = (u32)(j * 32 + lane - group * size) < (u32)size ? keys[j] : 0;
                second = max(second, key > first ? first : key);
                first = max(first, key);
            }

            const u32 best = __reduce_max_sync(~0u, first);
            float worth = worth_of(best);
            if (!program.best_of_group)
            {
                const int holder = __ffs(__ballot_sync(~0u, first == best)) - 1;
                worth += worth_of(__reduce_max_sync(~0u, lane == holder ? second : first));
            }

            mine = lane == group ? rank_key(worth + 0.0f) : mine;
        }

        u32 kept = 0;
#pragma unroll 1
        for (int k = 0; k < program.top_groups; k++)
        {
            const int group = __ffs(__ballot_sync(~0u, mine == __reduce_max_sync(~0u, mine))) - 1;
            kept |= 1u << group;
            mine = lane == group ? 0 : mine;
        }

#pragma unroll
        for (int j = 0; j < kSlots; j++)
        {
            keys[j] = kept >> ((j * 32 + lane) / size & 31) & 1 ? keys[j] : 0;
        }
    }

    /// The weight of lane k's choice, of its score or, for a softmax over the chosen, its logit.
    __device__ __forceinline__ float weigh(float worth, bool exists) const
    {
        const RouterProgram& q = program;
        float weight;
        if (q.softmax_of_chosen)
        {
            float largest = exists ? worth : -__uint_as_float(0x7f800000u);
#pragma unroll
            for (int d = 16; d > 0; d /= 2)
            {
                largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, d));
            }

            weight = exists ? expf(worth - largest) : 0.0f;
            weight /= warp_sum(weight);
        }
        else
        {
            weight = exists ? worth : 0.0f;
        }

        if (q.divide)
        {
            const float sum = warp_sum(weight);
            weight /= q.divide == 1 ? sum + q.epsilon : sum < q.epsilon ? q.epsilon : sum;
        }

        return exists ? weight * q.scale : 0.0f;
    }
};
