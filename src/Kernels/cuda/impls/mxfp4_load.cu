// Repacks a checkpoint's MXFP4 tensors (16 bytes of codes a block of 32, low nibble first; one E8M0 scale a block) for the products.
#include "formats/mxfp4.cuh"

struct Mxfp4FactorParameters
{
    const u8* scales;  // [rows, depth / 32]
    float* factor;     // [rows]
    int* any;          // becomes 1 if a factor is not 1
    int rows;
    int depth;
};

/// Each row's factor: 2^o with the least o that keeps every scale of the row within what a factor of the widening holds, NaN if a scale
/// is (0xff, OCP Microscaling Formats v1.0 §5.4.1). A warp a row, blocks of 256 threads.
extern "C" __global__ void __launch_bounds__(256) moe_mxfp4_factors(const __grid_constant__ Mxfp4FactorParameters p)
{
    const int row = blockIdx.x * 8 + threadIdx.x / 32, blocks = p.depth / 32;
    if (row >= p.rows)
    {
        return;
    }

    u32 largest = 0;
    for (int i = threadIdx.x % 32; i < blocks; i += 32)
    {
        largest = max(largest, (u32)p.scales[(i64)row * blocks + i]);
    }

    largest = __reduce_max_sync(~0u, largest);
    if (threadIdx.x % 32 == 0)
    {
        p.factor[row] = largest == 255 ? __uint_as_float(0x7fc00000u) : largest <= 128 ? 1.0f : __uint_as_float((largest - 128 + 127) << 23);
        if (largest > 128)
        {
            *p.any = 1;
        }
    }
}

struct Mxfp4RepackParameters
{
    const u8* codes;      // [rows, depth / 2]
    const u8* scales;     // [rows, depth / 32]
    const float* factor;  // [rows]
    u8* out;              // groups
    int rows;             // a multiple of 16
    int depth;            // a multiple of 32
    int gate_up;          // 1: accumulator rows g and g + 8 are weight rows 2g and 2g + 1; 0: the group's rows in order
};

/// A code at place i (0 to 3, as in mxfp4.cuh) of both halves of a word.
__device__ __forceinline__ u32 place_codes(u32 even, u32 odd, int i)
{
    auto spread = [](u32 code) { return (code & 8) << 12 | (code & 7) << 6; };
    const u32 in_place = spread(even) | spread(odd) << 16;
    switch (i)
    {
    case 0: return in_place;
    case 1: return in_place >> 4;
    case 2: return __funnelshift_l(in_place, in_place, 6);
    default: return __funnelshift_l(in_place & 0x81808180u, in_place & 0x81808180u, 2) | (in_place & 0x00400040u) >> 6;
    }
}

/// A warp a group and step; grid (ceil(steps / 8), groups), blocks of 256 threads.
extern "C" __global__ void __launch_bounds__(256) moe_mxfp4_repack(const __grid_constant__ Mxfp4RepackParameters p)
{
    const int steps = ceil_div(p.depth, kGroupDepth), step = blockIdx.x * 8 + threadIdx.x / 32, group = blockIdx.y;
    if (step >= steps)
    {
        return;
    }

    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const i64 row0 = (i64)group * kGroupRows;
    const i64 rows[2] = {row0 + (p.gate_up ? 2 * g : g), row0 + (p.gate_up ? 2 * g + 1 : g + 8)};
    u8* out = p.out + group_offset(group, step, steps);
    u32 words[4];
#pragma unroll
    for (int j = 0; j < 4; j++)
    {
        words[j] = 0;
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            const int input = step * kGroupDepth + j / 2 * 32 + 2 * t + i * 8;
            const u32 pair = input < p.depth ? p.codes[(rows[j % 2] * p.depth + input) / 2] : 0;
            words[j] |= place_codes(pair & 15, pair >> 4, i);
        }
    }

    ((uint4*)out)[lane] = make_uint4(words[0], words[1], words[2], words[3]);

    // Lane 4g + t writes the scale of row t / 2, block t % 2.
    const i64 row = t < 2 ? rows[0] : rows[1];
    const int block = step * 2 + t % 2;
    u32 c = 0;
    if (block * 32 < p.depth)
    {
        const u32 factor_bits = __float_as_uint(p.factor[row]) >> 23 & 255;
        const int exponent = (int)p.scales[row * (p.depth / 32) + block] + 126 - (factor_bits == 255 ? 0 : (int)factor_bits - 127);
        c = min(max(exponent, 0), 254);
    }

    out[kGroupCodeBytes + lane] = (u8)c;
}
