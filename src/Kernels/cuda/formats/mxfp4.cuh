// MXFP4 weights as the products read them, and their widening to BF16 in registers.
//
// A group is 16 rows of the matrix instruction by 64 inputs: 512 bytes of codes, then 32 bytes of scales. Lane 4g + t of a warp owns 16 of
// the bytes: words 0 and 1 for rows g and g + 8 at inputs 0 to 31, words 2 and 3 for those at 32 to 63. A word holds what the lane needs of them as
// the first operand of matrix instructions (see mma_bf16), four pairs of codes: inputs 2t and 2t + 1, then those 8, 16 and 24 further. Scale bytes
// 4g … 4g + 3 are those of row g, inputs 0 to 31 and 32 to 63, then of row g + 8.
//
// A code's three magnitude bits, read as the lowest exponent bits and the highest mantissa bit of a BF16 number, are its magnitude · 2^−126,
// subnormal included; so a product with 2^126 · scale is all the widening there is. A word's bits are dealt such that each pair takes as few
// instructions as can be: pair 0 lies in place, pairs 1 and 2 are one shift or rotation away, pair 3 is two.
//
// Four groups of rows are a band, whose four groups of the same inputs follow each other: what a warpgroup reads of a step is one stretch of memory.
// Each band's steps follow each other, then the expert's bands; the last band is filled up with groups that nobody writes, and whose results
// nobody reads. Scale bytes are exponents c of a factor 2^(c − 127) = 2^126 · scale · 2^−o;
// o, a row's own offset, is 0 unless the row has a scale above 2, and is made up for at the end by the row's factor 2^o.
#pragma once
#include "ptx/ptx.cuh"

constexpr int kGroupRows = 16, kGroupDepth = 64, kGroupCodeBytes = 512, kGroupBytes = 544, kBandGroups = 4, kBandRows = kGroupRows * kBandGroups;

/// Where a group of rows lies of an expert's matrix, for a step.
__device__ __forceinline__ i64 group_offset(int group, int step, int steps)
{
    return (((i64)(group / kBandGroups) * steps + step) * kBandGroups + group % kBandGroups) * kGroupBytes;
}

/// Bytes of an expert's matrix.
__device__ __forceinline__ i64 expert_bytes(int rows, int steps)
{
    return (i64)ceil_div(rows, kBandRows) * kBandGroups * steps * kGroupBytes;
}

/// The four bits of a code in a BF16 number: sign, two exponent bits, one mantissa bit; in both halves of a word.
constexpr u32 kCodeMask = 0x81c081c0u;

/// The factors of a word's scales 0 and 1, or 2 and 3: one in each half.
__device__ __forceinline__ u32 scale_factors(u32 scales, int first)
{
    return __byte_perm(scales, 0, 0x4140u + 0x0202u * (first / 2)) << 7;
}

/// What a lane needs of a word's scales: the factor, twice.
__device__ __forceinline__ u32 scale_factor(u32 scales, int index)
{
    return __byte_perm(scales, 0, 0x4040u | index | index << 8) << 7;
}

/// A row's share (0: row g, 1: row g + 8) in the first operands of both matrix instructions of 32 inputs.
template <int kRow>
__device__ __forceinline__ void widen_row(u32 (&first)[4], u32 (&second)[4], u32 word, u32 factor)
{
    first[kRow] = multiply_bf16x2(word & kCodeMask, factor);
    first[kRow + 2] = multiply_bf16x2(word << 4 & kCodeMask, factor);
    second[kRow] = multiply_bf16x2(__funnelshift_r(word, word, 6) & kCodeMask, factor);
    second[kRow + 2] = multiply_bf16x2((__funnelshift_r(word, word, 2) & 0x81808180u) | (word << 6 & 0x00400040u), factor);
}

/// The first operands of both matrix instructions of 32 inputs, from the words and factors of rows g and g + 8.
__device__ __forceinline__ void widen_codes(u32 (&first)[4], u32 (&second)[4], u32 word_low, u32 word_high, u32 low, u32 high)
{
    widen_row<0>(first, second, word_low, low);
    widen_row<1>(first, second, word_high, high);
}

/// Words that are dealt as this file says. Another dealing has the same member.
struct DealtForBf16
{
    static __device__ __forceinline__ void widen(u32 (&first)[4], u32 (&second)[4], u32 word_low, u32 word_high, u32 low, u32 high)
    {
        widen_codes(first, second, word_low, word_high, low, high);
    }
};
