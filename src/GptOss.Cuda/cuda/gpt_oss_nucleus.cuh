// Drawing from a nucleus: tokens in the order of their logits, of equal ones the lowest id first; in the draw are so many of them that their weights reach a share
// of all weights' sum. Nothing is sorted. Weights are whole numbers, so that sums do not depend on the order in which threads come; a histogram of them says which
// bucket a sum is reached in, and the bucket's few tokens say where in it. What is in a bucket beyond a list is cut into buckets again.
#pragma once
#include "gpt_oss_draw.cuh"

constexpr int kDrawThreads = 32 * kDrawWarps;
constexpr int kNucleusBuckets = 2048;
constexpr int kNucleusList = 256;

/// Sums of weights by bucket. Shared memory adds 32 bits at a time.
struct WeightBuckets
{
    u32 low[kNucleusBuckets];
    u32 high[kNucleusBuckets];

    __device__ __forceinline__ void clear()
    {
        for (int i = threadIdx.x; i < kNucleusBuckets; i += kDrawThreads)
        {
            low[i] = high[i] = 0;
        }

        __syncthreads();
    }

    __device__ __forceinline__ void add(int bucket, u64 weight)
    {
        const u32 own = (u32)weight, before = atomicAdd(low + bucket, own);
        const u32 rest = (u32)(weight >> 32) + (before + own < before ? 1 : 0);
        if (rest != 0)
        {
            atomicAdd(high + bucket, rest);
        }
    }

    __device__ __forceinline__ u64 sum(int bucket) const { return (u64)high[bucket] << 32 | low[bucket]; }
};

/// Where a sum is reached: in a bucket, or at a token.
struct Reached
{
    u64 before;  // the sum of what comes first
    u64 sum;     // with the token
    int place;   // the bucket, or the token's id
};

/// Tokens of neighbouring keys, or of one key and neighbouring ids.
struct KeyRange
{
    u32 low, high, key;
    bool is_of_ids;

    __device__ __forceinline__ bool has(u32 key_of, int id) const
    {
        const u32 value = is_of_ids ? (u32)id : key_of;
        return value >= low && value <= high && (!is_of_ids || key_of == key);
    }
};

/// What a block of kDrawWarps warps draws a row's token from. Its functions are for all threads.
struct Nucleus
{
    /// Tokens' weights: the likeliest one's is 2^44, and any vocabulary's sum less than 2^63. What is in the draw has 1 at least.
    static constexpr float kOne = 17592186044416.0f;

    struct Shared
    {
        WeightBuckets all, narrow;
        u64 weights[kNucleusList];
        u32 keys[kNucleusList];
        int ids[kNucleusList];
        int count;
        Reached found;
    };

    const Weights& weights;
    Shared& shared;
    float buckets;  // a logit; the weights that are in the draw fill all of them

    __device__ __forceinline__ Nucleus(const Weights& weights, Shared& shared)
        : weights(weights), shared(shared), buckets(weights.scale * (kNucleusBuckets - 1) / (0.01f - log2f(weights.least)))
    {
    }

    /// The drawn token; −1 where the likeliest logit is infinite, so that there are no weights.
    __device__ __forceinline__ int draw(double unit, double top_p)
    {
        shared.all.clear();
        each(KeyRange{0, ~0u, 0, false}, [&](u32 key, int, u64 weight) { shared.all.add(bucket_of(key), weight); });
        __syncthreads();
        u64 all = 0;
        for (int i = threadIdx.x % 32; i < kNucleusBuckets; i += 32)
        {
            all += shared.all.sum(i);
        }

        all = add_lanes(all);
        if (all == 0)
        {
            return -1;
        }

        const double enough = top_p * (double)all;
        const u64 least = (u64)enough, limit = least + ((double)least < enough ? 1 : 0);
        const u64 sum = find(limit > all ? all : limit).sum, target = (u64)(unit * (double)sum);
        return find(target < sum ? target + 1 : sum).place;
    }

private:
    /// The smaller, the likelier.
    static __device__ __forceinline__ u32 key_of(float logit)
    {
        const u32 bits = __float_as_uint(logit + 0.0f);  // −0 is 0
        return (bits >> 31) != 0 ? bits : bits ^ 0x7fffffff;
    }

    __device__ __forceinline__ int bucket_of(u32 key) const
    {
        const float logit = __uint_as_float((key >> 31) != 0 ? key : key ^ 0x7fffffff), bucket = (weights.highest - logit) * buckets;
        return bucket < (float)(kNucleusBuckets - 1) ? (int)bucket : kNucleusBuckets - 1;
    }

    /// The first key of a bucket; of the one behind the last what comes after all numbers.
    __device__ __forceinline__ u32 first_key(int bucket) const
    {
        u32 low = key_of(weights.highest), high = key_of(-__int_as_float(0x7f800000));
        while (low < high)
        {
            const u32 middle = low + (high - low) / 2;
            const bool is_before = bucket_of(middle) < bucket;
            low = is_before ? middle + 1 : low;
            high = is_before ? high : middle;
        }

        return low;
    }

    /// Each token of a range that is in the draw. Logits are asked for ahead, many at once: what is done with one may not be moved behind the next one's load.
    template <typename TAction>
    __device__ __forceinline__ void each(const KeyRange& range, const TAction& action) const
    {
        constexpr int kAhead = 8;
        weights.each_piece(0, weights.logits.vocabulary, [&](const float* piece, int begin, int end) {
            for (int first = begin + (int)threadIdx.x; first < end; first += kAhead * kDrawThreads)
            {
                float logits[kAhead];
#pragma unroll
                for (int i = 0; i < kAhead; i++)
                {
                    const int id = first + i * kDrawThreads;
                    logits[i] = id < end ? piece[id - begin] : -__int_as_float(0x7f800000);
                }

#pragma unroll
                for (int i = 0; i < kAhead; i++)
                {
                    const int id = first + i * kDrawThreads;
                    const u32 key = key_of(logits[i]);
                    if (range.has(key, id))
                    {
                        const float weight = weights.of_logit(logits[i]);
                        if (weight >= weights.least && (weights.banned[id / 32] >> id % 32 & 1) == 0)
                        {
                            action(key, id, (u64)(weight * kOne));
                        }
                    }
                }
            }
        });
    }

    static __device__ __forceinline__ u64 of_lane(u64 v, int lane)
    {
        return (u64)__shfl_sync(~0u, (u32)(v >> 32), lane) << 32 | __shfl_sync(~0u, (u32)v, lane);
    }

    static __device__ __forceinline__ u64 add_lanes(u64 v)
    {
#pragma unroll
        for (int d = 16; d > 0; d /= 2)
        {
            v += (u64)__shfl_xor_sync(~0u, (u32)(v >> 32), d) << 32 | __shfl_xor_sync(~0u, (u32)v, d);
        }

        return v;
    }

    /// The first lane with whose own a sum is reached, or the last; adds what the lanes before it have.
    static __device__ __forceinline__ int first_lane(u64 own, u64& before, u64 limit)
    {
        u64 up_to = own;
#pragma unroll
        for (int d = 1; d < 32; d *= 2)
        {
            const u64 other = (u64)__shfl_up_sync(~0u, (u32)(up_to >> 32), d) << 32 | __shfl_up_sync(~0u, (u32)up_to, d);
            up_to += threadIdx.x % 32 >= d ? other : 0;
        }

        const u32 reached = __ballot_sync(~0u, before + up_to >= limit);
        const int lane = reached != 0 ? __ffs(reached) - 1 : 31;
        before += of_lane(up_to - own, lane);
        return lane;
    }

    /// The first bucket with which a sum is reached. Each warp finds it.
    static __device__ __forceinline__ Reached locate(const WeightBuckets& sums, u64 before, u64 limit)
    {
        constexpr int kOfLane = kNucleusBuckets / 32, kPair = 2;
        static_assert(kOfLane == 32 * kPair);
        const int lane = threadIdx.x % 32;
        u64 own = 0;
        for (int i = 0; i < kOfLane; i++)
        {
            own += sums.sum(lane * kOfLane + (i + lane) % kOfLane);  // each lane reads another bank
        }

        int place = first_lane(own, before, limit) * kOfLane;
        own = sums.sum(place + kPair * lane) + sums.sum(place + kPair * lane + 1);
        place += kPair * first_lane(own, before, limit);
        if (before + sums.sum(place) < limit)
        {
            before += sums.sum(place++);
        }

        return Reached{before, before + sums.sum(place), place};
    }

    /// The first token with which a sum is reached that is more than 0 and at most all.
    __device__ __forceinline__ Reached find(u64 limit)
    {
        Reached reached = locate(shared.all, 0, limit);
        KeyRange range{first_key(reached.place), first_key(reached.place + 1) - 1, 0, false};
        for (int shift = collect(range); shared.count > kNucleusList; shift = collect(range))
        {
            reached = locate(shared.narrow, reached.before, limit);
            range.low += (u32)reached.place << shift;
            const u32 last = range.low + (1u << shift) - 1;
            range.high = last < range.high ? last : range.high;
        }

        // Each token of the list adds up those before it.
        if (threadIdx.x < shared.count)
        {
            const u32 key = shared.keys[threadIdx.x];
            const int id = shared.ids[threadIdx.x];
            u64 before = reached.before;
#pragma unroll 4
            for (int i = 0; i < shared.count; i++)
            {
                const bool is_before = shared.keys[i] < key || (shared.keys[i] == key && shared.ids[i] < id);
                before += is_before ? shared.weights[i] : 0;
            }

            const u64 sum = before + shared.weights[threadIdx.x];
            if (before < limit && sum >= limit)
            {
                shared.found = Reached{before, sum, id};
            }
        }

        __syncthreads();
        return shared.found;
    }

    /// Lists a range's tokens as far as there is room, and sums up what is in each of its buckets. One key's tokens are cut by their ids from then on.
    /// Returns the bits of a bucket.
    __device__ __forceinline__ int collect(KeyRange& range)
    {
        if (!range.is_of_ids && range.low == range.high)
        {
            range = KeyRange{0, (u32)weights.logits.vocabulary - 1, range.low, true};
        }

        int shift = 0;
        while ((range.high - range.low) >> shift >= kNucleusBuckets)
        {
            shift++;
        }

        __syncthreads();  // all have read what was there
        if (threadIdx.x == 0)
        {
            shared.count = 0;
        }

        shared.narrow.clear();
        each(range, [&](u32 key, int id, u64 weight) {
            shared.narrow.add(((range.is_of_ids ? (u32)id : key) - range.low) >> shift, weight);
            const int place = atomicAdd(&shared.count, 1);
            if (place < kNucleusList)
            {
                shared.keys[place] = key;
                shared.ids[place] = id;
                shared.weights[place] = weight;
            }
        });
        __syncthreads();
        return shift;
    }
};
