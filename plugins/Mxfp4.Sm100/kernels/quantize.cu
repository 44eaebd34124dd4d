// MXFP8 of BF16 rows, padded in the same pass: a lane takes 8 values of a row, four lanes a block of 32, so that a warp reads 512 bytes
// at once and writes 256. Each thread has kAtOnce such pieces under way. What lies behind a row's values is never read.
//
// Grid (ceil(pieces / 1024)), blocks of 256 threads; pieces = rows · columns / 8, where rows and columns are those that have scales.
#include "formats/mxfp8_rows.cuh"

namespace
{
constexpr int kThreads = 256, kAtOnce = 4;
}

struct QuantizeParameters
{
    const u8* source;    // BF16 rows
    u8* codes;           // [tokens, padded]: E4M3, or BF16 where rows are only rounded
    u8* scales;          // E8M0: [tokens, padded / 32], or swizzled: whole tiles of 128 rows by 4 blocks
    i64 source_stride;   // bytes, even
    int tokens;
    int hidden;          // values of a row
    int padded;          // codes of a row, a multiple of 32
    int scale_columns;   // blocks of a row that have scales: padded / 32, or that rounded up to 4
    int scale_rows;      // tokens, or that rounded up to 128
    int swizzled;
};

namespace
{
/// 8 values of which those from `valid` on are zero.
template <bool kAligned>
__device__ __forceinline__ uint4 load_piece(const u16* from, int valid)
{
    if constexpr (kAligned)
    {
        // Rows of whole pieces, each 16-byte aligned.
        return valid > 0 ? load_readonly(from) : make_uint4(0, 0, 0, 0);
    }
    else
    {
        u32 pairs[4];
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            const u32 low = 2 * i < valid ? from[2 * i] : 0, high = 2 * i + 1 < valid ? from[2 * i + 1] : 0;
            pairs[i] = low | high << 16;
        }

        return make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
    }
}

/// A thread's pieces, one block's width apart, by row and place in the row: divided once, then stepped.
struct Walk
{
    u32 width, row, place, step_rows, step_places;

    __device__ __forceinline__ Walk(u32 width, u32 first)
        : width(width), row(first / width), place(first % width), step_rows(kThreads / width), step_places(kThreads % width)
    {
    }

    __device__ __forceinline__ void advance()
    {
        row += step_rows;
        place += step_places;
        if (place >= width)
        {
            place -= width;
            row++;
        }
    }
};

template <bool kAligned>
__device__ __forceinline__ void quantize(const QuantizeParameters& p)
{
    wait_for_previous_launch();
    allow_next_launch();
    const Walk start(p.scale_columns * 4, blockIdx.x * (kThreads * kAtOnce) + threadIdx.x);
    uint4 values[kAtOnce];
    Walk piece = start;
#pragma unroll
    for (int i = 0; i < kAtOnce; i++, piece.advance())
    {
        const int valid = (int)piece.row < p.tokens ? p.hidden - (int)piece.place * 8 : 0;
        values[i] = load_piece<kAligned>((const u16*)(p.source + piece.row * p.source_stride) + piece.place * 8, valid);
    }

    piece = start;
#pragma unroll
    for (int i = 0; i < kAtOnce; i++, piece.advance())
    {
        u32 scale;
        const uint2 codes = quantize_piece(values[i], scale);
        const int block = piece.place / 4;
        if ((int)piece.row < p.tokens && block * kMxBlock < p.padded)
        {
            *(uint2*)(p.codes + (i64)piece.row * p.padded + piece.place * 8) = codes;
        }

        if ((int)piece.row < p.scale_rows && piece.place % 4 == 0)
        {
            const i64 at = p.swizzled ? swizzled_scale_offset(piece.row, block, p.scale_columns / 4) : (i64)piece.row * p.scale_columns + block;
            p.scales[at] = (u8)scale;
        }
    }
}
}

/// The BF16 numbers that rows become. One piece a thread; what follows may begin at once, for it reads nothing but weights before its wait.
extern "C" __global__ void __launch_bounds__(kThreads) mxfp8_round(const __grid_constant__ QuantizeParameters p)
{
    allow_next_launch();
    wait_for_previous_launch();
    const int piece = blockIdx.x * kThreads + threadIdx.x, width = p.padded / 8, row = piece / width, place = piece % width;
    const bool exists = row < p.tokens;
    const uint4 rounded = round_piece(load_piece<true>((const u16*)(p.source + row * p.source_stride) + place * 8, exists ? p.hidden - place * 8 : 0));
    if (exists)
    {
        *(uint4*)((u16*)p.codes + (i64)row * p.padded + place * 8) = rounded;
    }
}

extern "C" __global__ void __launch_bounds__(kThreads) mxfp8_quantize(const __grid_constant__ QuantizeParameters p)
{
    quantize<true>(p);
}

/// The same for rows that begin or step anywhere, or that do not end with a piece.
extern "C" __global__ void __launch_bounds__(kThreads) mxfp8_quantize_unaligned(const __grid_constant__ QuantizeParameters p)
{
    quantize<false>(p);
}
