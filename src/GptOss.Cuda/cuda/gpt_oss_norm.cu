// What is added to the residual stream, and the norm of the sum (RMSNorm: openai/gpt-oss, gpt_oss/torch/model.py).
#include "gpt_oss_batch.cuh"

constexpr int kNormThreads = 512;

/// Pieces of 4 that a thread holds at most: rows of up to 8192.
constexpr int kNormPieces = 4;

struct AddNormParameters
{
    float* stream;             // [rows, width], float32
    const u16* added;          // BF16 [rows, width]; the embedding, if the stream begins here; 0 for nothing
    const float* bias;         // [width], added too; 0 for none
    const float* weight;       // [width]
    u16* normed;               // BF16 [blocks, width]
    const BatchToken* begins;  // the tokens where the stream begins with their embedding; else 0
    const int* rows;           // the stream's row for each block; 0 for the block's own
    int width;                 // a multiple of 8, at most 4 · kNormThreads · kNormPieces
    float epsilon;
};

/// stream += added + bias; normed = stream ÷ √(mean of stream² + epsilon) · weight. Grid (rows).
extern "C" __global__ void __launch_bounds__(kNormThreads) moe_add_norm(const __grid_constant__ AddNormParameters p)
{
    // Where the stream begins, this comes right behind the copy of the tokens, which launches that follow read before their wait.
    if (p.begins != 0)
    {
        wait_for_previous_launch();
    }

    allow_next_launch();
    __shared__ float warps[kNormThreads / 32];
    float4 v[kNormPieces], weight[kNormPieces];
#pragma unroll
    for (int i = 0; i < kNormPieces; i++)
    {
        const int piece = threadIdx.x + i * kNormThreads;
        if (4 * piece < p.width)
        {
            weight[i] = ((const float4*)p.weight)[piece];
        }
    }

    wait_for_previous_launch();
    const i64 row = p.rows != 0 ? p.rows[blockIdx.x] : blockIdx.x;
    float4* stream = (float4*)(p.stream + row * p.width);
    const uint2* added = (const uint2*)(p.added + (p.begins != 0 ? (i64)p.begins[row].id : row) * p.width);
    float squares = 0.0f;
#pragma unroll
    for (int i = 0; i < kNormPieces; i++)
    {
        const int piece = threadIdx.x + i * kNormThreads;
        if (4 * piece < p.width)
        {
            v[i] = p.begins != 0 ? make_float4(0.0f, 0.0f, 0.0f, 0.0f) : stream[piece];
            if (p.added != 0)
            {
                const uint2 a = added[piece];
                v[i].x += __uint_as_float(a.x << 16);
                v[i].y += __uint_as_float(a.x & 0xffff0000u);
                v[i].z += __uint_as_float(a.y << 16);
                v[i].w += __uint_as_float(a.y & 0xffff0000u);
            }

            if (p.bias != 0)
            {
                const float4 b = ((const float4*)p.bias)[piece];
                v[i].x += b.x;
                v[i].y += b.y;
                v[i].z += b.z;
                v[i].w += b.w;
            }

            if (p.added != 0 || p.bias != 0)
            {
                stream[piece] = v[i];
            }

            squares += v[i].x * v[i].x + v[i].y * v[i].y + v[i].z * v[i].z + v[i].w * v[i].w;
        }
    }

#pragma unroll
    for (int d = 16; d > 0; d /= 2)
    {
        squares += __shfl_xor_sync(~0u, squares, d);
    }

    if (threadIdx.x % 32 == 0)
    {
        warps[threadIdx.x / 32] = squares;
    }

    __syncthreads();
    squares = 0.0f;
#pragma unroll
    for (int i = 0; i < kNormThreads / 32; i++)
    {
        squares += warps[i];
    }

    const float factor = 1.0f / sqrtf(squares / p.width + p.epsilon);
    uint2* normed = (uint2*)(p.normed + (i64)blockIdx.x * p.width);
#pragma unroll
    for (int i = 0; i < kNormPieces; i++)
    {
        const int piece = threadIdx.x + i * kNormThreads;
        if (4 * piece < p.width)
        {
            normed[piece] = make_uint2(
                pack_bf16(v[i].x * factor * weight[i].x, v[i].y * factor * weight[i].y),
                pack_bf16(v[i].z * factor * weight[i].z, v[i].w * factor * weight[i].w));
        }
    }
}
