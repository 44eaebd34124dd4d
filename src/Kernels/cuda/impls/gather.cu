// Brings the rows of x into the order of the sorted pairs, so that TMA can fetch a tile's rows as a rectangle.
#include "impls/gather.cuh"

/// A warp a row; blocks of 256 threads, any number of them.
extern "C" __global__ void __launch_bounds__(256) moe_gather(const __grid_constant__ GatherParameters p)
{
    wait_for_previous_launch();
    allow_next_launch();
    constexpr int kAtOnce = 12;
    const int lane = threadIdx.x % 32, pairs = load_coherent(p.expert_offsets + p.experts), pieces = p.columns / 8;
    for (int place = blockIdx.x * 8 + threadIdx.x / 32; place < p.pairs; place += gridDim.x * 8)
    {
        // Read before it is known whether there is such a place: both answers come together.
        const int pair = load_coherent(p.sorted_pairs + place);
        if (place >= pairs)
        {
            return;
        }

        const uint4* from = (const uint4*)(p.x + (i64)(pair / p.top_k) * p.x_stride);
        uint4* to = (uint4*)(p.out + (i64)place * p.columns);
        for (int base = lane; base < pieces; base += 32 * kAtOnce)
        {
            uint4 v[kAtOnce];
#pragma unroll
            for (int i = 0; i < kAtOnce; i++)
            {
                v[i] = from[min(base + i * 32, pieces - 1)];
            }

#pragma unroll
            for (int i = 0; i < kAtOnce; i++)
            {
                if (base + i * 32 < pieces)
                {
                    to[base + i * 32] = v[i];
                }
            }
        }
    }
}
