// A layer up to its experts for one or two tokens, in one launch: norm, query, key and value, attention, its output added to the stream, and the norm of that.
//
// One block a multiprocessor. The last warp brings weights, rows of both products one after the other, into a ring of groups of 8 rows, as fast as the ring
// empties: the first ones while the launch before still runs, and those of the output while attention does, which reads little. The others multiply: each
// group's inner dimension is split over the warps, whose sums meet in shared memory.
//
// Shares of both products and of attention are numbered. A block claims its own number, and once it has asked for all weights of its queries, those that nobody
// has claimed: whoever has a number does all that is numbered so. All queries are there before any attention, and all of attention before any output. Who waits
// for them, waits for what running blocks have claimed, so blocks need not all be there at once; and a block that begins late finds nothing to do.
#include "gpt_oss_attention.cuh"
#include "gpt_oss_query_key_value.cuh"
#include "gpt_oss_weight_ring.cuh"

struct AttentionLayerParameters
{
    QueryKeyValueParameters first;  // the product has no rows, they are normed ones
    NormedRows normed_first;
    AttentionParameters attention;
    Product output;           // rows: attention's out
    const float* output_bias;
    float* stream;            // [tokens, outputs], the one that is normed first; what is added to it there and the output are added
    const float* norm;        // [outputs]
    u16* normed;              // BF16 [tokens, outputs]
    u32* counters;            // kCounters · kCounterWords, 0 before and after; only this layer's, since the next one's launch may begin early
    int shares;               // at most kMostShares, and no more than outputs of the second product or pairs of the first
    int splits;               // of attention, at most
    RingShape ring;
    int part_begin;           // bytes of shared memory before the warps' sums
    int part_rows;            // rows of a share of the larger product at most, rounded up to kGroupRows
};

namespace
{
constexpr int kMostShares = 256;

/// Counters in lines of their own: numbers that are claimed, a bit each; shares of the first product that are stored; attention that is complete, of a token's
/// key-value heads; blocks that are done.
constexpr int kCounterWords = 32, kCounters = 4;

__device__ __forceinline__ int* counter(const AttentionLayerParameters& p, int index)
{
    return (int*)p.counters + index * kCounterWords;
}

constexpr int kStored = 1, kAttended = 2, kDone = 3;

/// Keys, in tiles of 32, that a block has at least before they are split.
constexpr int kLeastLayerTiles = kDecodeWarps;

/// What shared memory begins with.
struct LayerControl
{
    RingBarriers barriers;
    u64 claimed;
    int4 work[kMostGroups];  // what a group is: stage, number of the share, its first row there, whether it is the share's last
    u32 owned[kMostShares / 32];  // numbers that this block has
    int has_number, is_last;
};

constexpr int kRowsBegin = 320;
static_assert(sizeof(LayerControl) <= kRowsBegin);
static_assert(32 * kDecodeWarps == kProductThreads);

enum LayerStage
{
    kQueryKeyValue,
    kOutput,
    kNothing,
};

/// Rows of a product that belong together: pairs of outputs of the first one, outputs of the second.
struct LayerShare
{
    int begin, rows;

    static __device__ __forceinline__ LayerShare of(const AttentionLayerParameters& p, int stage, int number)
    {
        const int all = stage == kQueryKeyValue ? p.first.product.outputs / 2 : p.output.outputs;
        const int begin = (int)((i64)all * number / p.shares), end = (int)((i64)all * (number + 1) / p.shares);
        return {begin, stage == kQueryKeyValue ? 2 * (end - begin) : end - begin};
    }
};

/// The lower output of a pair: the other one lies half a head further.
__device__ __forceinline__ int first_of_pair(int pair, int half)
{
    return pair / half * 2 * half + pair % half;
}

/// The numbers of a block, in their order.
template <typename TBody>
__device__ __forceinline__ void for_owned(const LayerControl& control, const TBody& body)
{
#pragma unroll 1
    for (int i = 0; i < kMostShares / 32; i++)
    {
#pragma unroll 1
        for (u32 left = control.owned[i]; left != 0; left &= left - 1)
        {
            body(32 * i + __ffs(left) - 1);
        }
    }
}

/// Claims a number that no block has yet; −1 where there is none left. One warp.
__device__ __forceinline__ int claim_any(const AttentionLayerParameters& p)
{
    const int lane = threadIdx.x % 32, valid = min(max(p.shares - 32 * lane, 0), 32);
    while (true)
    {
        const bool is_word = lane < kMostShares / 32;
        const u32 left = ~load_relaxed_if(is_word, p.counters + lane) & (valid == 32 ? ~0u : (1u << valid) - 1);
        const u32 words = __ballot_sync(~0u, is_word && left != 0);
        if (words == 0)
        {
            return -1;
        }

        const int word = __ffs(words) - 1, bit = __ffs(__shfl_sync(~0u, left, word)) - 1;
        const u32 before = lane == 0 ? atomicOr(p.counters + word, 1u << bit) : 0;
        if ((__shfl_sync(~0u, before, 0) >> bit & 1) == 0)
        {
            return 32 * word + bit;
        }
    }
}

/// One warp.
__device__ __forceinline__ void bring_weights(const AttentionLayerParameters& p, LayerControl& control, u32 shared)
{
    const int lane = threadIdx.x % 32, own = blockIdx.x;
    RingFiller filler(p.ring, control.barriers, shared);
    auto bring = [&](int stage, int number, int begin, int end) {
        const Product& product = stage == kQueryKeyValue ? p.first.product : p.output;
        const LayerShare share = LayerShare::of(p, stage, number);
#pragma unroll 1
        for (int first = begin; first < min(end, share.rows); first += kGroupRows)
        {
            const int row = first + lane;
            const int output = stage == kOutput ? share.begin + row : first_of_pair(share.begin + row / 2, product.half) + row % 2 * product.half;
            filler.bring(min(kGroupRows, share.rows - first), product.inputs, product.weight + (i64)output * product.inputs, [&](int group) {
                control.work[group] = {stage, number, first, first + kGroupRows >= share.rows};
            });
        }
    };

    // The answer is there when the ring is full.
    const u32 before = lane == 0 ? atomicOr(p.counters + own / 32, 1u << own % 32) : 0;
    const int full = p.ring.groups * kGroupRows, all = 2 * p.first.product.outputs;
    bring(kQueryKeyValue, own, 0, full);
    const bool is_own = (__shfl_sync(~0u, before, 0) >> own % 32 & 1) == 0;
    if (lane == 0)
    {
        control.has_number = is_own;
        mbarrier_arrive(shared_address(&control.claimed));
    }

    if (!is_own)
    {
        // Nothing may be under way to a block that has ended.
        const int groups = min(p.ring.groups, ceil_div(LayerShare::of(p, kQueryKeyValue, own).rows, kGroupRows));
        for (int group = 0; group < groups; group++)
        {
            mbarrier_wait(shared_address(&control.barriers.full[group]), 0);
        }

        return;
    }

    bring(kQueryKeyValue, own, full, all);
    for (int number = own; number >= 0; number = claim_any(p))
    {
        if (lane == 0)
        {
            control.owned[number / 32] |= 1u << number % 32;
        }

        if (number != own)
        {
            bring(kQueryKeyValue, number, 0, all);
        }
    }

    __syncwarp();
    for_owned(control, [&](int number) { bring(kOutput, number, 0, p.output.outputs); });
    filler.bring(0, 0, 0, [&](int group) { control.work[group].x = kNothing; });
}

/// The items of attention of a number.
template <int kHeadSize>
struct NumberedItems
{
    const AttentionLayerParameters& p;

    __device__ __forceinline__ int count() const { return p.first.product.tokens * p.attention.cache.heads * p.splits; }

    __device__ __forceinline__ DecodePart<kHeadSize> part(int item) const
    {
        const int of_token = item / p.splits, heads = p.attention.cache.heads;
        return DecodePart<kHeadSize>(p.attention, of_token / heads, of_token % heads, item % p.splits, p.splits, kLeastLayerTiles);
    }
};

/// Brings the keys and values of an item of attention into L2, all but what is computed now.
template <int kHeadSize>
__device__ __forceinline__ void prefetch_keys(const AttentionParameters& p, const DecodePart<kHeadSize>& part)
{
    // A page's half, 32 positions: keys are adjacent, values in rows of 64 positions.
    constexpr int kKeyLines = kKeys * kHeadSize * 2 / 128, kLines = kKeyLines + kHeadSize;
    const int tiles = min(part.end, part.tiles - 1) - part.begin;
    for (int i = threadIdx.x; i < tiles * kLines; i += kProductThreads)
    {
        const int position = (part.first + part.begin + i / kLines) * kKeys, line = i % kLines;
        prefetch_l2(line < kKeyLines ? p.cache.keys(part.text, part.head, position) + line * 64
                                     : p.cache.values(part.text, part.head, position) + (line - kKeyLines) * kPagePositions);
    }
}

/// Brings some adjacent numbers into L2.
__device__ __forceinline__ void prefetch_floats(const float* from, int count)
{
    for (int i = 32 * threadIdx.x; i < count; i += 32 * kProductThreads)
    {
        prefetch_l2(from + i);
    }
}

/// Brings into L2 what else a block reads that does not depend on the launch before.
template <int kHeadSize>
__device__ __forceinline__ void prefetch_share(const AttentionLayerParameters& p)
{
    const int number = blockIdx.x;
    const LayerShare pairs = LayerShare::of(p, kQueryKeyValue, number), outputs = LayerShare::of(p, kOutput, number);
    const NumberedItems<kHeadSize> items = {p};
    prefetch_floats(p.normed_first.weight, p.output.outputs);
    const int first = first_of_pair(pairs.begin, p.first.product.half);
    prefetch_floats(p.first.bias + first, min(2 * p.first.product.half, p.first.product.outputs - first));
    prefetch_floats(p.output_bias + outputs.begin, outputs.rows);
    if (number < items.count())
    {
        const DecodePart<kHeadSize> part = items.part(number);
        if (!part.is_empty())
        {
            prefetch_keys(p.attention, part);
        }
    }

    // Any block may be the last.
    if (number == 0)
    {
        prefetch_floats(p.norm, p.output.outputs);
    }
}

/// Until a counter has reached a number: what was written before can be seen by all threads that multiply.
__device__ __forceinline__ void wait_for_count(const int* counter, int count)
{
    if (threadIdx.x == 0)
    {
        while (load_acquire(counter) < count)
        {
        }
    }

    wait_for_product_threads();
}

template <int kHeadSize>
__device__ __forceinline__ void attend(const AttentionLayerParameters& p, const LayerControl& control, float* found)
{
    const NumberedItems<kHeadSize> items = {p};
    for_owned(control, [&](int number) {
#pragma unroll 1
        for (int item = number; item < items.count(); item += p.shares)
        {
            DecodePart<kHeadSize> part = items.part(item);
            if (part.is_empty())
            {
                continue;
            }

            part.load_early();
            wait_for_count(counter(p, kStored), p.shares);
            const bool is_complete = part.attend(found);
            wait_for_product_threads();
            if (threadIdx.x == 0 && is_complete)
            {
                add_release(counter(p, kAttended), 1);
            }
        }
    });

    wait_for_count(counter(p, kAttended), p.first.product.tokens * p.attention.cache.heads);
}

/// What a thread has of a share: a token, and a pair of outputs of query, key and value.
struct QueryKeyValueShare
{
    static constexpr int kStage = kQueryKeyValue;
    const AttentionLayerParameters& p;
    const float factor;  // of the thread's token
    KeepWay::State state;

    __device__ __forceinline__ const Product& product() const { return p.first.product; }

    __device__ __forceinline__ int count(const LayerShare& share) const { return share.rows / 2; }

    __device__ __forceinline__ void begin(int pair, int token) { state = KeepWay{p.first}.begin(first_of_pair(pair, product().half), token); }

    __device__ __forceinline__ void store(int pair, int token, const float* parts, int index) const
    {
        const float one = add_up(parts, p.part_rows, token, 2 * index), other = add_up(parts, p.part_rows, token, 2 * index + 1);
        KeepWay{p.first}.store(first_of_pair(pair, product().half), token, one * factor, other * factor, state);
    }

    __device__ __forceinline__ void end() const { add_release(counter(p, kStored), 1); }
};

/// A token, and one of attention's outputs.
struct OutputShare
{
    static constexpr int kStage = kOutput;
    const AttentionLayerParameters& p;
    float before;  // what the output is added to

    __device__ __forceinline__ const Product& product() const { return p.output; }

    __device__ __forceinline__ int count(const LayerShare& share) const { return share.rows; }

    __device__ __forceinline__ void begin(int output, int token)
    {
        const NormedRows& n = p.normed_first;
        const int width = p.output.outputs;
        const i64 place = (i64)token * width + output, added = (n.begins != 0 ? (i64)n.begins[token].id : token) * width + output;
        before = (n.begins != 0 ? 0.0f : p.stream[place]) + __uint_as_float((u32)n.added[added] << 16) + p.output_bias[output];
    }

    __device__ __forceinline__ void store(int output, int token, const float* parts, int index) const
    {
        p.stream[(i64)token * p.output.outputs + output] = before + add_up(parts, p.part_rows, token, index);
    }

    __device__ __forceinline__ void end() const {}
};

/// Multiplies the groups of one stage.
template <typename TShare>
__device__ __forceinline__ void compute_stage(const AttentionLayerParameters& p, LayerControl& control, RingPlace& place, char* shared, TShare own)
{
    const int token = threadIdx.x % kNormedTokens, index = threadIdx.x / kNormedTokens;
    const u32 rows = shared_address(shared) + kRowsBegin;
    float* parts = (float*)(shared + p.part_begin);
#pragma unroll 1
    while (true)
    {
        mbarrier_wait(shared_address(&control.barriers.full[place.group]), place.phase);
        const int4 work = control.work[place.group];
        if (work.x != TShare::kStage)
        {
            return;
        }

        const LayerShare share = LayerShare::of(p, TShare::kStage, work.y);
        const bool is_own = token < p.output.tokens && index < own.count(share);
        if (work.z == 0 && is_own)
        {
            own.begin(share.begin + index, token);
        }

        multiply_group(own.product(), p.ring, control.barriers, place, shared_address(shared), rows, parts + work.z, p.part_rows);
        if (work.w != 0)
        {
            wait_for_product_threads();
            if (is_own)
            {
                own.store(share.begin + index, token, parts, index);
            }

            wait_for_product_threads();
            if (threadIdx.x == 0)
            {
                own.end();
            }
        }
    }
}

/// The stream's rows, which other blocks have written, once they are complete.
__device__ __forceinline__ void norm_stream(const AttentionLayerParameters& p)
{
    __shared__ float squares[kProductWarps];
    constexpr int kPieces = 8;
    const int width = p.output.outputs, pieces = width / 4;
#pragma unroll 1
    for (int token = 0; token < p.output.tokens; token++)
    {
        int4 v[kPieces];
        float4 weight[kPieces];
        float sum = 0.0f;
#pragma unroll
        for (int i = 0; i < kPieces; i++)
        {
            const int piece = threadIdx.x + i * kProductThreads;
            if (piece < pieces)
            {
                v[i] = load_coherent((const int4*)(p.stream + (i64)token * width) + piece);
                weight[i] = ((const float4*)p.norm)[piece];
            }
        }

#pragma unroll
        for (int i = 0; i < kPieces; i++)
        {
            if (threadIdx.x + i * kProductThreads < pieces)
            {
                const float x = __int_as_float(v[i].x), y = __int_as_float(v[i].y), z = __int_as_float(v[i].z), w = __int_as_float(v[i].w);
                sum += x * x + y * y + z * z + w * w;
            }
        }

#pragma unroll
        for (int d = 16; d > 0; d /= 2)
        {
            sum += __shfl_xor_sync(~0u, sum, d);
        }

        wait_for_product_threads();
        if (threadIdx.x % 32 == 0)
        {
            squares[threadIdx.x / 32] = sum;
        }

        wait_for_product_threads();
        sum = 0.0f;
#pragma unroll
        for (int w = 0; w < kProductWarps; w++)
        {
            sum += squares[w];
        }

        const float factor = 1.0f / sqrtf(sum / width + p.normed_first.epsilon);
        uint2* to = (uint2*)(p.normed + (i64)token * width);
#pragma unroll
        for (int i = 0; i < kPieces; i++)
        {
            const int piece = threadIdx.x + i * kProductThreads;
            if (piece < pieces)
            {
                to[piece] = make_uint2(
                    pack_bf16(__int_as_float(v[i].x) * factor * weight[i].x, __int_as_float(v[i].y) * factor * weight[i].y),
                    pack_bf16(__int_as_float(v[i].z) * factor * weight[i].z, __int_as_float(v[i].w) * factor * weight[i].w));
            }
        }
    }
}

/// The threads that multiply, for the shares that the block has.
template <int kHeadSize>
__device__ __forceinline__ void compute_shares(const AttentionLayerParameters& p, LayerControl& control, char* shared)
{
    u16* rows = (u16*)(shared + kRowsBegin);
    RingPlace place = {0, 0};
    compute_stage(p, control, place, shared, QueryKeyValueShare{p, norm_rows(p.first.product, p.normed_first, rows)});
    attend<kHeadSize>(p, control, (float*)rows);
    stage_rows(p.output, rows);
    compute_stage(p, control, place, shared, OutputShare{p});
}
}

/// As many blocks as shares. Dynamic shared memory: up to the end of the ring.
template <int kHeadSize>
__global__ void __launch_bounds__(kRingThreads, 1) moe_attention_layer(const __grid_constant__ AttentionLayerParameters p)
{
    // The first layer's launch comes right behind the copy of the tokens, which it and those that follow read before their wait.
    if (p.normed_first.begins != 0)
    {
        wait_for_previous_launch();
    }

    allow_next_launch();
    extern __shared__ __align__(16) char layer_memory[];
    LayerControl& control = *(LayerControl*)layer_memory;
    if (threadIdx.x == 0)
    {
        control.barriers.init(p.ring);
        for (int i = 0; i < kMostShares / 32; i++)
        {
            control.owned[i] = 0;
        }

        mbarrier_init(shared_address(&control.claimed), 1);
        mbarrier_fence_init();
    }

    __syncthreads();
    if (threadIdx.x >= kProductThreads)
    {
        bring_weights(p, control, shared_address(layer_memory));
        wait_for_previous_launch();
        return;
    }

    prefetch_share<kHeadSize>(p);
    wait_for_previous_launch();
    mbarrier_wait(shared_address(&control.claimed), 0);
    if (control.has_number != 0)
    {
        compute_shares<kHeadSize>(p, control, layer_memory);
    }

    // Whoever is last finds the stream complete, and nobody draws any more.
    if (threadIdx.x == 0)
    {
        control.is_last = add_release(counter(p, kDone), 1) == gridDim.x - 1;
    }

    wait_for_product_threads();
    if (control.is_last != 0)
    {
        if (threadIdx.x < kCounters * kCounterWords)
        {
            p.counters[threadIdx.x] = 0;
        }

        norm_stream(p);
    }
}
