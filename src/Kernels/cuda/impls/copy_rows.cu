// Copies rows that lie apart: what the host's padding and slicing take. A kernel, because a copy node between kernels of a graph keeps the one
// behind it from starting early.
#include "ptx/ptx.cuh"

struct CopyRowsParameters
{
    const u8* source;
    u8* target;
    i64 source_stride;  // bytes, as all sizes here
    i64 target_stride;
    i64 row_bytes;
    i64 rows;
};

template <typename T>
__device__ __forceinline__ void copy_rows(const CopyRowsParameters& p)
{
    const i64 pieces = p.row_bytes / (i64)sizeof(T), all = pieces * p.rows, step = (i64)gridDim.x * 256;
    for (i64 i = (i64)blockIdx.x * 256 + threadIdx.x; i < all; i += step)
    {
        const i64 row = i / pieces, at = i % pieces;
        ((T*)(p.target + row * p.target_stride))[at] = ((const T*)(p.source + row * p.source_stride))[at];
    }
}

/// Any number of blocks of 256 threads.
extern "C" __global__ void __launch_bounds__(256) moe_copy_rows(const __grid_constant__ CopyRowsParameters p)
{
    allow_next_launch();
    wait_for_previous_launch();
    const u64 bits = (u64)p.source | (u64)p.target | (u64)p.source_stride | (u64)p.target_stride | (u64)p.row_bytes;
    if (bits % 16 == 0)
    {
        copy_rows<uint4>(p);
    }
    else if (bits % 4 == 0)
    {
        copy_rows<u32>(p);
    }
    else
    {
        copy_rows<u8>(p);
    }
}
