// Rows of BF16 to MXFP8, and back: a lane has 8 values, a piece, and four neighbouring lanes a block of 32.
#pragma once
#include "formats/mxfp8.cuh"

/// Codes of 8 values and the scale of their block, of which three neighbouring lanes have the rest.
__device__ __forceinline__ uint2 quantize_piece(const uint4& values, u32& scale)
{
    constexpr u32 kMagnitude = 0x7fff7fffu;
    u32 most = max_bf16x2(max_bf16x2(values.x & kMagnitude, values.y & kMagnitude), max_bf16x2(values.z & kMagnitude, values.w & kMagnitude));
    most = max_bf16x2(most, __shfl_xor_sync(~0u, most, 1));
    most = max_bf16x2(most, __shfl_xor_sync(~0u, most, 2));
    most = max_bf16x2(most, most >> 16) << 16;

    // Only a block of nothing but NaN has none for its largest: its scale does not matter.
    scale = mxfp8_scale(most > 0x7f800000u ? 0 : most);
    const float factor = mxfp8_multiplier(scale);
    auto codes = [&](u32 pair) { return pack_e4m3(__uint_as_float(pair << 16) * factor, __uint_as_float(pair & 0xffff0000u) * factor); };
    return make_uint2(codes(values.x) | codes(values.y) << 16, codes(values.z) | codes(values.w) << 16);
}

/// The BF16 numbers that the codes of 8 values and the scale of their block stand for.
__device__ __forceinline__ uint4 round_piece(const uint4& values)
{
    u32 scale;
    const uint2 codes = quantize_piece(values, scale);
    const u32 powers = scale << 7 | scale << 23;
    return make_uint4(widen_e4m3x2(codes.x, powers), widen_e4m3x2(codes.x >> 16, powers), widen_e4m3x2(codes.y, powers), widen_e4m3x2(codes.y >> 16, powers));
}
