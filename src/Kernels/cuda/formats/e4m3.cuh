// FP8 weights (E4M3) as shared experts' products read them: of each 64 inputs 0 to 7, 32 to 39, 8 to 15, 40 to 47, …, so that 16 codes are a lane's share
// of two products of 32 inputs (mma_bf16_k32). Their scales are float32, of 32 inputs those of the even rows of 16 and of the odd ones.
#pragma once
#include "ptx/ptx.cuh"

/// 8 codes of one half of 16 as BF16, exactly. What is NaN in E4M3 comes out as 480.
__device__ __forceinline__ uint4 widen_e4m3(const uint4& codes, int half)
{
    // Exponent and mantissa stand as BF16 has them, with a bias of 7 in place of 127: times 2^120.
    auto widen = [](u32 codes, u32 selectors) {
        const u32 high = permute_bytes(codes, 0, selectors);
        return multiply_bf16x2((high & 0x80008000u) | (high >> 4 & 0x07f007f0u), 0x7b807b80u);
    };
    const u32 first = half == 0 ? codes.x : codes.z, second = half == 0 ? codes.y : codes.w;
    return make_uint4(widen(first, 0x1404), widen(first, 0x3424), widen(second, 0x1404), widen(second, 0x3424));
}
