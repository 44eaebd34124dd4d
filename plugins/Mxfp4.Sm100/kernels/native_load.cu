// Brings one expert of a checkpoint's MXFP4 tensors into the layout of native.cu, padded with zeros.
#include "native_layout.cuh"
#include "ptx/types.cuh"

struct NativeLoadParameters
{
    const uint4* codes;   // [rows, depth / 32]: 16 bytes a block, low nibble first
    const u8* scales;     // [rows, depth / 32]: E8M0
    uint4* out_codes;     // [padded_rows, padded_depth / 32]
    u32* out_scales;      // [padded_rows / (128 · halves), padded_depth / 128, halves, 128]: tiles of scales, four blocks of a row a word
    int rows;
    int depth;            // a multiple of 32
    int padded_rows;      // a multiple of 128 · halves
    int padded_depth;     // a multiple of 256
    int halves;           // 2: gates and ups, which are parted; 1: rows in order
};

__device__ __forceinline__ int source_row(const NativeLoadParameters& p, int place)
{
    return p.halves == 2 ? gate_up_row(place) : place;
}

/// Grid (ceil(padded depth / 32 / 256), padded rows), blocks of 256 threads, a block of 32 codes each.
extern "C" __global__ void __launch_bounds__(256) moe_native_load_codes(const __grid_constant__ NativeLoadParameters p)
{
    const int block = blockIdx.x * 256 + threadIdx.x, place = blockIdx.y, row = source_row(p, place), blocks = p.depth / 32;
    if (block < p.padded_depth / 32)
    {
        const bool inside = row < p.rows && block < blocks;
        p.out_codes[(i64)place * (p.padded_depth / 32) + block] = inside ? p.codes[(i64)row * blocks + block] : make_uint4(0, 0, 0, 0);
    }
}

/// Grid (tiles of scales), blocks of 128 threads, a word each.
extern "C" __global__ void __launch_bounds__(128) moe_native_load_scales(const __grid_constant__ NativeLoadParameters p)
{
    const int steps = p.padded_depth / kStepDepth, tile = blockIdx.x, half = tile % p.halves, step = tile / p.halves % steps;
    const int stripe = tile / (p.halves * steps), in_tile = scale_tile_row(threadIdx.x), blocks = p.depth / 32;
    const int row = source_row(p, (stripe * p.halves + half) * kMmaRows + in_tile);
    u32 word = 0;
    for (int i = 0; i < 4; i++)
    {
        const int block = step * 4 + i;
        word |= row < p.rows && block < blocks ? (u32)p.scales[(i64)row * blocks + block] << 8 * i : 0;
    }

    p.out_scales[(i64)tile * 128 + threadIdx.x] = word;
}
