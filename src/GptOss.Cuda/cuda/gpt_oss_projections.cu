// Query, key and value with rotation and cache; attention's output added to the stream, or a rank's part of it; the head with the likeliest token.
#include "gpt_oss_candidate.cuh"
#include "gpt_oss_product.cuh"

struct QueryKeyValueParameters
{
    Product product;    // outputs: query heads, key heads, value heads; half: half a head
    NormedRows normed;  // of moe_norm_query_key_value
    const float* projected;     // [tokens, outputs], where the product was computed elsewhere
    const float* bias;          // [outputs]
    const BatchToken* tokens;
    const float2* rotary;       // [positions, half a head] cosine and sine, times the attention factor
    u16* queries;               // BF16 [tokens, query heads, head size]
    CacheLayer cache;
    int heads;  // query heads
    int reserved;
};

/// Adds the bias, rotates element i of a head with element i + half (openai/gpt-oss, gpt_oss/torch/model.py, _apply_rotary_emb), and puts queries
/// into their rows, keys and values into the cache.
struct KeepWay
{
    const QueryKeyValueParameters& p;

    struct State
    {
        BatchToken place;
        float2 bias, turn;
    };

    __device__ __forceinline__ bool is_value(int head) const { return head >= p.heads + p.cache.heads; }

    __device__ __forceinline__ State begin(int output, int token) const
    {
        const int size = p.cache.head_size, half = size / 2;
        State state;
        state.place = p.tokens[token];
        state.bias = make_float2(p.bias[output], p.bias[output + half]);
        state.turn = is_value(output / size) ? make_float2(0.0f, 0.0f) : p.rotary[(i64)state.place.position * half + output % size];
        return state;
    }

    __device__ __forceinline__ void store(int output, int token, float one, float other, const State& state) const
    {
        const int size = p.cache.head_size, half = size / 2;
        const int head = output / size, i = output % size;
        one += state.bias.x;
        other += state.bias.y;
        if (is_value(head))
        {
            u16* values = p.cache.values(state.place, head - p.heads - p.cache.heads, state.place.position);
            values[i * kPagePositions] = float_to_bf16(one);
            values[(i + half) * kPagePositions] = float_to_bf16(other);
            return;
        }

        u16* row = head < p.heads ? p.queries + ((i64)token * p.heads + head) * size : p.cache.keys(state.place, head - p.heads, state.place.position);
        row[i] = float_to_bf16(one * state.turn.x - other * state.turn.y);
        row[i + half] = float_to_bf16(other * state.turn.x + one * state.turn.y);
    }
};

template <int kTiles>
__global__ void __launch_bounds__(kProductThreads, kProductBlocks<kTiles>) moe_query_key_value(const __grid_constant__ QueryKeyValueParameters p)
{
    allow_next_launch();
    KeepWay way_out = {p};
    multiply<kTiles, false>(p.product, p.normed, way_out);
}

/// The same of rows that are normed here.
extern "C" __global__ void __launch_bounds__(kProductThreads, kProductBlocks<1>) moe_norm_query_key_value(const __grid_constant__ QueryKeyValueParameters p)
{
    allow_next_launch();
    KeepWay way_out = {p};
    multiply<1, true>(p.product, p.normed, way_out);
}

/// The same for a product that was computed elsewhere. Blocks of 256 threads: grid (tokens).
extern "C" __global__ void __launch_bounds__(256) moe_keep_query_key_value(const __grid_constant__ QueryKeyValueParameters p)
{
    allow_next_launch();
    wait_for_previous_launch();
    const int half = p.product.half, token = blockIdx.x;
    const float* row = p.projected + (i64)token * p.product.outputs;
    const KeepWay way_out = {p};
    for (int pair = threadIdx.x; pair < p.product.outputs / 2; pair += 256)
    {
        const int output = pair / half * 2 * half + pair % half;
        way_out.store(output, token, row[output], row[output + half], way_out.begin(output, token));
    }
}

struct AddProductParameters
{
    Product product;
    const float* bias;  // [outputs]
    float* stream;      // [tokens, outputs]
};

/// stream += W · x + bias.
struct AddWay
{
    const AddProductParameters& p;

    struct State
    {
        float one, other;
    };

    __device__ __forceinline__ float* place(int output, int token) const { return p.stream + (i64)token * p.product.outputs + output; }

    __device__ __forceinline__ bool has_other(int output) const { return output + p.product.half < p.product.outputs; }

    __device__ __forceinline__ State begin(int output, int token) const
    {
        const float* from = place(output, token);
        State state = {*from + p.bias[output], 0.0f};
        if (has_other(output))
        {
            state.other = from[p.product.half] + p.bias[output + p.product.half];
        }

        return state;
    }

    __device__ __forceinline__ void store(int output, int token, float one, float other, const State& state) const
    {
        float* to = place(output, token);
        *to = state.one + one;
        if (has_other(output))
        {
            to[p.product.half] = state.other + other;
        }
    }
};

template <int kTiles>
__global__ void __launch_bounds__(kProductThreads, kProductBlocks<kTiles>) moe_add_product(const __grid_constant__ AddProductParameters p)
{
    allow_next_launch();
    AddWay way_out = {p};
    multiply<kTiles, false>(p.product, NormedRows(), way_out);
}

struct PartParameters
{
    Product product;
    const float* projected;  // [tokens, outputs], where the product was computed elsewhere; outputs are a multiple of 4 then
    const float* bias;       // [outputs]; 0 where another rank adds it
    u16* part;               // BF16 [tokens, outputs]
};

/// part = W · x + bias, which the ranks' sum is made of.
struct PartWay
{
    const PartParameters& p;

    struct State
    {
        float one, other;
    };

    __device__ __forceinline__ bool has_other(int output) const { return output + p.product.half < p.product.outputs; }

    __device__ __forceinline__ State begin(int output, int) const
    {
        return {p.bias == 0 ? 0.0f : p.bias[output], p.bias == 0 || !has_other(output) ? 0.0f : p.bias[output + p.product.half]};
    }

    __device__ __forceinline__ void store(int output, int token, float one, float other, const State& state) const
    {
        u16* to = p.part + (i64)token * p.product.outputs + output;
        *to = float_to_bf16(one + state.one);
        if (has_other(output))
        {
            to[p.product.half] = float_to_bf16(other + state.other);
        }
    }
};

template <int kTiles>
__global__ void __launch_bounds__(kProductThreads, kProductBlocks<kTiles>) moe_part_product(const __grid_constant__ PartParameters p)
{
    allow_next_launch();
    PartWay way_out = {p};
    multiply<kTiles, false>(p.product, NormedRows(), way_out);
}

/// The same for a product that was computed elsewhere. Blocks of 256 threads: grid (tokens).
extern "C" __global__ void __launch_bounds__(256) moe_keep_part(const __grid_constant__ PartParameters p)
{
    allow_next_launch();
    wait_for_previous_launch();
    const i64 first = (i64)blockIdx.x * p.product.outputs;
    for (int i = threadIdx.x; i < p.product.outputs / 4; i += 256)
    {
        float4 v = ((const float4*)(p.projected + first))[i];
        if (p.bias != 0)
        {
            const float4 bias = ((const float4*)p.bias)[i];
            v = make_float4(v.x + bias.x, v.y + bias.y, v.z + bias.z, v.w + bias.w);
        }

        ((uint2*)(p.part + first))[i] = make_uint2(pack_bf16(v.x, v.y), pack_bf16(v.z, v.w));
    }
}

struct HeadParameters
{
    Product product;
    NormedRows normed;      // of moe_norm_head
    float* logits;          // [tokens, outputs], if *wants_logits
    const int* wants_logits;
    const u32* banned;      // a bit a token
    Candidate* candidates;  // [tokens, blocks]
};

/// Keeps the best of what a thread sees.
struct CandidateWay
{
    const HeadParameters& p;
    Candidate best;

    struct State
    {
        bool wants_logits;
        u32 banned, other_banned;
    };

    __device__ __forceinline__ State begin(int output, int) const
    {
        const int other = min(output + p.product.half, p.product.outputs - 1);
        return {*p.wants_logits != 0, p.banned[output / 32] >> output % 32 & 1, p.banned[other / 32] >> other % 32 & 1};
    }

    __device__ __forceinline__ void store(int output, int token, float one, float other, const State& state)
    {
        consider(output, token, one, state.wants_logits, state.banned);
        if (output + p.product.half < p.product.outputs)
        {
            consider(output + p.product.half, token, other, state.wants_logits, state.other_banned);
        }
    }

  private:
    __device__ __forceinline__ void consider(int id, int token, float logit, bool wants_logits, u32 is_banned)
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
};

template <int kTiles, bool kNorms>
__device__ __forceinline__ void find_candidates(const HeadParameters& p)
{
    allow_next_launch();
    constexpr int kTokens = 8 * kTiles;
    __shared__ Candidate found[kProductThreads];
    CandidateWay way_out = {p, {-__int_as_float(0x7f800000), kNoToken}};
    multiply<kTiles, kNorms>(p.product, p.normed, way_out);
    Candidate best = way_out.best;

    // Where there are fewer than 32 tokens, threads from 8 · kTokens on had none.
    found[threadIdx.x] = best;
    __syncthreads();
    if (threadIdx.x < kTokens && threadIdx.x < p.product.tokens)
    {
        for (int i = threadIdx.x + kTokens; i < kProductThreads; i += kTokens)
        {
            best = better(best, found[i]);
        }

        p.candidates[(i64)threadIdx.x * gridDim.x + blockIdx.x] = best;
    }
}

template <int kTiles>
__global__ void __launch_bounds__(kProductThreads, kProductBlocks<kTiles>) moe_head(const __grid_constant__ HeadParameters p)
{
    find_candidates<kTiles, false>(p);
}

/// The same of rows that are normed here.
extern "C" __global__ void __launch_bounds__(kProductThreads, kProductBlocks<1>) moe_norm_head(const __grid_constant__ HeadParameters p)
{
    find_candidates<1, true>(p);
}
