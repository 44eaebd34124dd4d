// Brings BF16 rows into the order of the sorted pairs as gather.cu does, each rounded to MXFP8's numbers on its way.
#include "formats/mxfp8_rows.cuh"
#include "impls/gather.cuh"

/// A warp a part of a row; blocks of 256 threads, any number of them.
extern "C" __global__ void __launch_bounds__(256) moe_gather_mxfp8(const __grid_constant__ GatherParameters p)
{
    constexpr int kAtOnce = 4;
    wait_for_previous_launch();
    allow_next_launch();
    const int lane = threadIdx.x % 32, pieces = p.columns / 8, parts = ceil_div(pieces, 32 * kAtOnce), pairs = load_coherent(p.expert_offsets + p.experts);
    for (int item = blockIdx.x * 8 + threadIdx.x / 32; item < p.pairs * parts; item += gridDim.x * 8)
    {
        // Read before it is known whether there is such a place: both answers come together.
        const int place = item / parts, first = item % parts * (32 * kAtOnce) + lane, pair = load_coherent(p.sorted_pairs + place);
        if (place >= pairs)
        {
            return;
        }

        const uint4* from = (const uint4*)(p.x + (i64)(pair / p.top_k) * p.x_stride);
        uint4* to = (uint4*)(p.out + (i64)place * p.columns);
        uint4 v[kAtOnce];
#pragma unroll
        for (int i = 0; i < kAtOnce; i++)
        {
            v[i] = from[min(first + i * 32, pieces - 1)];
        }

#pragma unroll
        for (int i = 0; i < kAtOnce; i++)
        {
            const uint4 rounded = round_piece(v[i]);
            if (first + i * 32 < pieces)
            {
                to[first + i * 32] = rounded;
            }
        }
    }
}
