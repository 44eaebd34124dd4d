// What mxfp4_fp8.cu needs to know of each weight row, from the groups that are multiplied.
#include "formats/mxfp4_e4m3.cuh"

struct Mxfp4Fp8RowsParameters
{
    const u8* groups;     // [experts, bands, steps, groups of a band]
    const float* factor;  // [experts, rows], or null where all are 1
    float* out_factor;    // [experts, rows]: what a row's sum is multiplied by
    u8* largest;          // [experts, rows]: the largest scale byte of a block that is not zero
    u8* is_split;         // [experts, bands], 0 before: 1 where a row's scales span more than 2^kE4m3Span
    int* splits;          // becomes more by the rows of which that is so
    int rows;             // a multiple of 16
    int depth;            // a multiple of 32
    int gate_up;          // as in mxfp4_load.cu
};

/// A warp a group of 16 rows; grid (ceil(groups / 8), experts), blocks of 256 threads.
extern "C" __global__ void __launch_bounds__(256) moe_mxfp4_fp8_rows(const __grid_constant__ Mxfp4Fp8RowsParameters p)
{
    constexpr u32 kMagnitudes = ~0x88228822u;
    const int group = blockIdx.x * 8 + threadIdx.x / 32, expert = blockIdx.y, lane = threadIdx.x % 32, g = lane / 4;
    if (group >= p.rows / kGroupRows)
    {
        return;
    }

    const int steps = ceil_div(p.depth, kGroupDepth);
    const u8* own = p.groups + expert * expert_bytes(p.rows, steps);
    int largest[2] = {0, 0}, least[2] = {255, 255};
    for (int step = 0; step < steps; step++)
    {
        const u8* from = own + group_offset(group, step, steps);
        const uint4 codes = ((const uint4*)from)[lane];
        const u32 words[4] = {codes.x, codes.y, codes.z, codes.w}, scales = ((const u32*)(from + kGroupCodeBytes))[g];
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            // Words are rows g and g + 8 of a block, then of the next; scale bytes both blocks of a row.
            if ((words[i] & kMagnitudes) != 0)
            {
                const int scale = scales >> (i % 2 * 16 + i / 2 * 8) & 255;
                largest[i % 2] = max(largest[i % 2], scale);
                least[i % 2] = min(least[i % 2], scale);
            }
        }
    }

#pragma unroll
    for (int i = 0; i < 2; i++)
    {
        for (int by = 1; by < 4; by *= 2)
        {
            largest[i] = max(largest[i], __shfl_xor_sync(~0u, largest[i], by));
            least[i] = min(least[i], __shfl_xor_sync(~0u, least[i], by));
        }

        const int row = group * kGroupRows + (p.gate_up ? 2 * g + i : g + 8 * i);
        const i64 at = (i64)expert * p.rows + row;
        if (lane % 4 == 0)
        {
            p.largest[at] = (u8)largest[i];
            p.out_factor[at] = power_of_two(largest[i] - 127 - kE4m3Exponent) * (p.factor == nullptr ? 1.0f : p.factor[at]);
            if (largest[i] - least[i] > (int)kE4m3Span)
            {
                p.is_split[expert * ceil_div(p.rows, kBandRows) + row / kBandRows] = 1;
                atomicAdd(p.splits, 1);
            }
        }
    }
}

struct Mxfp4DealParameters
{
    u8* groups;
    i64 count;  // groups
};

/// Deals the codes of all groups for E4M3 (mxfp4_e4m3.cuh), in place. A warp a group, any number of blocks of 256 threads.
extern "C" __global__ void __launch_bounds__(256) moe_mxfp4_fp8_deal(const __grid_constant__ Mxfp4DealParameters p)
{
    for (i64 group = (i64)blockIdx.x * 8 + threadIdx.x / 32; group < p.count; group += (i64)gridDim.x * 8)
    {
        uint4* own = (uint4*)(p.groups + group * kGroupBytes) + threadIdx.x % 32;
        const uint4 codes = *own;
        *own = make_uint4(deal_e4m3(codes.x), deal_e4m3(codes.y), deal_e4m3(codes.z), deal_e4m3(codes.w));
    }
}
