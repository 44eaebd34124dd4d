// Rows of one or two tokens that are added up and normed by each block that multiplies them.
#pragma once
#include "gpt_oss_product.cuh"

/// Tokens whose rows a product norms by itself: a launch less, but each block does it.
constexpr int kNormedTokens = 2;

/// Pieces of 4 values that a thread asks for at once.
constexpr int kNormedPieces = 4;

/// Rows that are (stream + added) ÷ √(mean of squares + epsilon) · weight, instead of the product's own.
struct NormedRows
{
    const float* stream;       // [tokens, inputs], float32
    const u16* added;          // BF16 [tokens, inputs]; the embedding, if the stream begins here
    const float* weight;       // [inputs]
    const BatchToken* begins;  // the tokens where the stream begins with their embedding; else 0
    float epsilon;
    int reserved;
};

/// Puts (stream + added) · weight into shared memory, whose product is divided later; returns that factor for the token threadIdx.x % kNormedTokens.
__device__ __forceinline__ float norm_rows(const Product& p, const NormedRows& n, u16* rows)
{
    __shared__ float squares[kProductWarps][kNormedTokens];
    const int pieces = p.inputs / 4;
#pragma unroll
    for (int token = 0; token < kNormedTokens; token++)
    {
        float own = 0.0f;
        if (token < p.tokens)
        {
            const float4* stream = (const float4*)(n.stream + (i64)token * p.inputs);
            const uint2* added = (const uint2*)(n.added + (n.begins != 0 ? (i64)n.begins[token].id : token) * p.inputs);
            uint2* row = (uint2*)(rows + token * (p.inputs + kRowGap));
            for (int first = threadIdx.x; first < pieces; first += kNormedPieces * kProductThreads)
            {
                float4 v[kNormedPieces], w[kNormedPieces];
                uint2 a[kNormedPieces];
#pragma unroll
                for (int i = 0; i < kNormedPieces; i++)
                {
                    const int piece = first + i * kProductThreads;
                    if (piece < pieces)
                    {
                        v[i] = n.begins != 0 ? make_float4(0.0f, 0.0f, 0.0f, 0.0f) : stream[piece];
                        a[i] = added[piece];
                        w[i] = ((const float4*)n.weight)[piece];
                    }
                }

#pragma unroll
                for (int i = 0; i < kNormedPieces; i++)
                {
                    const int piece = first + i * kProductThreads;
                    if (piece < pieces)
                    {
                        v[i].x += __uint_as_float(a[i].x << 16);
                        v[i].y += __uint_as_float(a[i].x & 0xffff0000u);
                        v[i].z += __uint_as_float(a[i].y << 16);
                        v[i].w += __uint_as_float(a[i].y & 0xffff0000u);
                        own += v[i].x * v[i].x + v[i].y * v[i].y + v[i].z * v[i].z + v[i].w * v[i].w;
                        row[piece] = make_uint2(pack_bf16(v[i].x * w[i].x, v[i].y * w[i].y), pack_bf16(v[i].z * w[i].z, v[i].w * w[i].w));
                    }
                }
            }
        }

#pragma unroll
        for (int d = 16; d > 0; d /= 2)
        {
            own += __shfl_xor_sync(~0u, own, d);
        }

        if (threadIdx.x % 32 == 0)
        {
            squares[threadIdx.x / 32][token] = own;
        }
    }

    wait_for_product_threads();
    float all = 0.0f;
#pragma unroll
    for (int w = 0; w < kProductWarps; w++)
    {
        all += squares[w][threadIdx.x % kNormedTokens];
    }

    return 1.0f / sqrtf(all / p.inputs + n.epsilon);
}
