// y = Σ over k of weight_k · (Σ over splits of partial_k + bias of its expert), for each token. Blocks of 128 threads, 4 columns a thread:
// grid (ceil(hidden / 512), tokens).
#include "ptx.cuh"

struct CombineParameters
{
    const void* partial;   // [splits, tokens · top_k, partial_stride], float32, or BF16 if partial_is_bf16
    const int* ids;        // [tokens, top_k]
    const float* weights;  // [tokens, top_k]
    const float* bias;     // [experts, hidden], or null
    void* out;             // [tokens, out_stride], BF16, or float32 if out_is_float
    i64 partial_stride;    // elements, a multiple of 4
    i64 split_stride;      // elements between splits, a multiple of 4
    i64 out_stride;        // elements, any
    int hidden;            // a multiple of 8
    int top_k;
    int splits;
    int experts;           // ids outside of 0 … experts − 1 add nothing
    int partial_is_bf16;
    int out_is_float;
};

__device__ __forceinline__ float4 load_partial(const CombineParameters& p, i64 at)
{
    if (!p.partial_is_bf16)
    {
        return *(const float4*)((const float*)p.partial + at);
    }

    const uint2 packed = *(const uint2*)((const u16*)p.partial + at);
    return make_float4(__uint_as_float(packed.x << 16), __uint_as_float(packed.x & 0xffff0000u),
                       __uint_as_float(packed.y << 16), __uint_as_float(packed.y & 0xffff0000u));
}

extern "C" __global__ void __launch_bounds__(128, 4) moe_combine(const __grid_constant__ CombineParameters p)
{
    const int column = (blockIdx.x * 128 + threadIdx.x) * 4;
    const i64 token = blockIdx.y;
    const bool inside = column < p.hidden;
    float4 sum = make_float4(0, 0, 0, 0);
    for (int k0 = 0; k0 < p.top_k; k0 += 4)
    {
        // Ids and weights are older than the launch before this one, so they and the biases may be read before its end.
        float weight[4];
        float4 y[4];
        bool used[4];
        if (inside)
        {
#pragma unroll
            for (int i = 0; i < 4; i++)
            {
                const i64 pair = token * p.top_k + min(k0 + i, p.top_k - 1);
                const int expert = p.ids[pair];
                const bool counts = k0 + i < p.top_k && (u32)expert < (u32)p.experts;
                weight[i] = counts ? p.weights[pair] : 0.0f;
                y[i] = counts && p.bias != nullptr ? *(const float4*)(p.bias + (i64)expert * p.hidden + column) : make_float4(0, 0, 0, 0);
                used[i] = counts;
            }
        }

        if (k0 == 0)
        {
            wait_for_previous_launch();
            allow_next_launch();
        }

        if (inside)
        {
            // Loads without branches, two splits at a time, so that all of them are under way together.
            for (int s = 0; s < p.splits; s += 2)
            {
                float4 v[2][4];
#pragma unroll
                for (int h = 0; h < 2; h++)
                {
#pragma unroll
                    for (int i = 0; i < 4; i++)
                    {
                        const i64 pair = token * p.top_k + min(k0 + i, p.top_k - 1);
                        v[h][i] = load_partial(p, min(s + h, p.splits - 1) * p.split_stride + pair * p.partial_stride + column);
                    }
                }

#pragma unroll
                for (int h = 0; h < 2; h++)
                {
#pragma unroll
                    for (int i = 0; i < 4; i++)
                    {
                        if (used[i] && s + h < p.splits)
                        {
                            y[i].x += v[h][i].x;
                            y[i].y += v[h][i].y;
                            y[i].z += v[h][i].z;
                            y[i].w += v[h][i].w;
                        }
                    }
                }
            }

#pragma unroll
            for (int i = 0; i < 4; i++)
            {
                sum.x += weight[i] * y[i].x;
                sum.y += weight[i] * y[i].y;
                sum.z += weight[i] * y[i].z;
                sum.w += weight[i] * y[i].w;
            }
        }
    }

    if (!inside)
    {
        return;
    }

    // The caller's rows may begin anywhere, so wide stores only where this one is aligned.
    if (p.out_is_float)
    {
        float* out = (float*)p.out + token * p.out_stride + column;
        if ((u64)out % 16 == 0)
        {
            *(float4*)out = sum;
        }
        else
        {
            out[0] = sum.x;
            out[1] = sum.y;
            out[2] = sum.z;
            out[3] = sum.w;
        }
    }
    else
    {
        u16* out = (u16*)p.out + token * p.out_stride + column;
        const uint2 packed = make_uint2(pack_bf16(sum.x, sum.y), pack_bf16(sum.z, sum.w));
        if ((u64)out % 8 == 0)
        {
            *(uint2*)out = packed;
        }
        else
        {
            out[0] = (u16)packed.x;
            out[1] = (u16)(packed.x >> 16);
            out[2] = (u16)packed.y;
            out[3] = (u16)(packed.y >> 16);
        }
    }
}
