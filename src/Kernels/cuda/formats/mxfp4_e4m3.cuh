// Widening of MXFP4 weights (mxfp4.cuh) to E4M3 in registers.
//
// A code times 2^k is an E4M3 number without a subnormal for k from -5 (0.5 becomes 2^-6) to 6 (6 becomes 384). So a row whose scales span
// 2^11 is widened exactly, up to a factor of the whole row: the table of the eight magnitudes times the block's share of that factor is two registers, and
// a byte permute looks four codes up at once.
//
// A word's eight codes become two registers: bytes 0 to 3 of the first are inputs 2t, 2t + 1, 2t + 8 and 2t + 9 of the block of 32, of the second those 16
// further. Tokens lie in the same order (e4m3_place). For that words are dealt anew at load (deal_e4m3): a nibble's lower three bits are a
// magnitude, those of the first register's codes in the lower half; bits 7, 15, 23 and 31 are their signs, bits 3, 11, 19 and 27 the second register's.
// Seven instructions widen such a word, where one that is dealt for BF16 takes fifteen. To BF16 it is widened in 17 where that one takes 13 (DealtForE4m3),
// which few tokens have time for: they wait for memory.
#pragma once
#include "formats/mxfp4.cuh"

/// How far the scales of a row may be apart, as a power of two.
constexpr u32 kE4m3Span = 11;

/// Eight magnitudes of E2M1 times 2^6 in E4M3, and how both words change for each power of two: zero stays what it is.
constexpr u32 kE4m3Low = 0x6c686000u, kE4m3High = 0x7c787470u, kE4m3LowStep = 0x08080800u, kE4m3HighStep = 0x08080808u;

/// What a code's row is multiplied by beside the scale whose byte is the row's largest: 2^6 of the table, and 2^126 of the scale bytes.
constexpr int kE4m3Exponent = 6 + 126;

/// The table of a row's blocks: of a block with scale byte c its words are low + c * kE4m3LowStep and high + c * kE4m3HighStep.
struct E4m3Table
{
    u32 low, high;

    /// Of a row whose largest scale byte is `largest`.
    static __device__ __forceinline__ E4m3Table of(u32 largest)
    {
        return {kE4m3Low - largest * kE4m3LowStep, kE4m3High - largest * kE4m3HighStep};
    }

    /// That of a block, whose byte is one of a word of scales.
    __device__ __forceinline__ E4m3Table block(u32 scales, int index) const
    {
        const u32 scale = __byte_perm(scales, 0, 0x4440u | index);
        return {low + scale * kE4m3LowStep, high + scale * kE4m3HighStep};
    }
};

/// A power of two, 2^exponent, down to the smallest number there is.
__device__ __forceinline__ float power_of_two(int exponent)
{
    return __uint_as_float(exponent >= -126 ? (u32)(exponent + 127) << 23 : exponent >= -149 ? 1u << (exponent + 149) : 0);
}

/// Scales of so many rows lie together, in the order in which the matrix instruction's sums have their columns: a thread's four follow each other.
constexpr int kScaleTokens = 16;

/// Where the scales of an expert's rows begin in each chunk's, `first` being its first row: a multiple of kScaleTokens, so that those of a tile are an
/// aligned stretch.
__device__ __forceinline__ int scale_place(int first, int expert)
{
    return (first + (kScaleTokens - 1) * (expert + 1)) / kScaleTokens * kScaleTokens;
}

/// A scale of tokens in one byte: 2^(2 · byte − 127), 0 for 0. Only every second power of two, so that a byte permute makes a float32 of it.
__device__ __forceinline__ float e4m3_scale(u32 word, int index)
{
    return __uint_as_float(__byte_perm(word, 0, index << 12 | 0x444));
}

/// The least such scale that is not below 2^(exponent − 127), as an exponent of the same kind: twice the byte.
__device__ __forceinline__ u32 e4m3_scale_exponent(u32 exponent)
{
    return exponent + 1 & ~1u;
}

/// Where the scale of an expert's row lies from there on.
__device__ __forceinline__ int scale_slot(int row)
{
    return row / kScaleTokens * kScaleTokens + row % 8 / 2 * 4 + row % kScaleTokens / 8 * 2 + row % 2;
}

/// A word that was dealt for it (deal_e4m3) as two registers of the matrix instruction's first operand.
__device__ __forceinline__ void widen_e4m3(u32& first, u32& second, u32 word, const E4m3Table& table)
{
    const u32 selectors = word & 0x77777777u;
    first = permute_bytes(table.low, table.high, selectors) | (word & 0x80808080u);
    second = permute_bytes(table.low, table.high, selectors >> 16) | (word << 4 & 0x80808080u);
}

/// A word of mxfp4.cuh dealt so.
__device__ __forceinline__ u32 deal_e4m3(u32 word)
{
    // Pairs of inputs 2t + 8i and the one after it, in the lower and the upper half.
    const u32 pairs[4] = {word & kCodeMask, word << 4 & kCodeMask, __funnelshift_r(word, word, 6) & kCodeMask,
                          (__funnelshift_r(word, word, 2) & 0x81808180u) | (word << 6 & 0x00400040u)};
    u32 dealt = 0;
#pragma unroll
    for (int i = 0; i < 8; i++)
    {
        const u32 code = pairs[i / 2] >> 16 * (i % 2);
        dealt |= (code >> 6 & 7) << 4 * i | (code >> 15 & 1) << (8 * (i % 4) + (i < 4 ? 7 : 3));
    }

    return dealt;
}

/// Where an input of a block of 32 lies among the tokens' bytes.
__device__ __forceinline__ int e4m3_place(int input)
{
    return input / 16 * 16 + input % 8 / 2 * 4 + input / 8 % 2 * 2 + input % 2;
}

/// Such words for products of BF16 numbers, in the place of DealtForBf16.
struct DealtForE4m3
{
    static __device__ __forceinline__ void widen(u32 (&first)[4], u32 (&second)[4], u32 word_low, u32 word_high, u32 low, u32 high)
    {
        widen_row<0>(first, second, word_low, low);
        widen_row<1>(first, second, word_high, high);
    }

private:
    template <int kRow>
    static __device__ __forceinline__ void widen_row(u32 (&first)[4], u32 (&second)[4], u32 word, u32 factor)
    {
        const u32 selectors = word & 0x77777777u;
        widen_pairs(first[kRow], first[kRow + 2], selectors, word, factor);
        widen_pairs(second[kRow], second[kRow + 2], selectors >> 16, word << 4, factor);
    }

    /// Two pairs of inputs, whose signs are bits 7, 15, 23 and 31.
    static __device__ __forceinline__ void widen_pairs(u32& pair, u32& next, u32 selectors, u32 signs, u32 factor)
    {
        // Both bytes of a number as the other dealing has them in place: the magnitude in bits 6 to 8.
        const u32 lower = permute_bytes(0xc0804000u, 0xc0804000u, selectors);
        const u32 upper = permute_bytes(0, 0x01010101u, selectors) | (signs & 0x80808080u);
        pair = multiply_bf16x2(__byte_perm(lower, upper, 0x5140), factor);
        next = multiply_bf16x2(__byte_perm(lower, upper, 0x7362), factor);
    }
};
