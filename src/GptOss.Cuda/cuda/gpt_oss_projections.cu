// Query, key and value with rotation and cache; attention's output added to the stream, or a rank's part of it.
#include "gpt_oss_query_key_value.cuh"

template <int kTiles>
__global__ void __launch_bounds__(kProductThreads, kProductBlocks<kTiles>) moe_query_key_value(const __grid_constant__ QueryKeyValueParameters p)
{
    allow_next_launch();
    KeepWay way_out = {p};
    multiply<kTiles>(p.product, way_out);
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
    multiply<kTiles>(p.product, way_out);
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
    multiply<kTiles>(p.product, way_out);
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
