// Where query, key and value go once they are computed.
#pragma once
#include "gpt_oss_product.cuh"

struct QueryKeyValueParameters
{
    Product product;  // outputs: query heads, key heads, value heads; half: half a head
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
