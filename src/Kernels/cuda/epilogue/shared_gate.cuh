// How far the gate of shared experts opens for a token.
#pragma once
#include "ptx/ptx.cuh"

/// A warp: sigmoid(x · gate) of a token's row, BF16, and a gate of float32, for its first lane.
__device__ __forceinline__ float open_shared_gate(const u16* x, const float* gate, int hidden)
{
    float sum = 0.0f;
#pragma unroll 2
    for (int column = threadIdx.x % 32 * 8; column < hidden; column += 256)
    {
        const uint4 v = *(const uint4*)(x + column);
        const float4 low = *(const float4*)(gate + column), high = *(const float4*)(gate + column + 4);
        const u32 words[4] = {v.x, v.y, v.z, v.w};
        const float gates[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            sum += __uint_as_float(words[i] << 16) * gates[2 * i] + __uint_as_float(words[i] & 0xffff0000u) * gates[2 * i + 1];
        }
    }

#pragma unroll
    for (int d = 16; d > 0; d /= 2)
    {
        sum += __shfl_xor_sync(~0u, sum, d);
    }

    return 1.0f / (1.0f + expf(-sum));
}
