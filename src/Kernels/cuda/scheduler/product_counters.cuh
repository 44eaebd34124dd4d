// What the blocks of both grouped products count together in global memory. The sort, which runs before them, clears it.
#pragma once
#include "ptx/ptx.cuh"

struct ProductCounters
{
    int* words;  // [2 + experts]: tiles drawn by the first product and by the second; of each expert, tiles that the first has stored

    /// One block.
    __device__ __forceinline__ void clear(int experts) const
    {
        for (int i = threadIdx.x; i < 2 + experts; i += blockDim.x)
        {
            words[i] = 0;
        }
    }

    /// The number of a tile that no block has; the first gridDim.x are the blocks' own.
    template <bool kFirst>
    __device__ __forceinline__ int draw() const
    {
        return gridDim.x + atomicAdd(words + !kFirst, 1);
    }

    /// A thread that has waited for a tile of the first product to be stored. It takes a microsecond, so none that multiplies.
    __device__ __forceinline__ void add_stored(int expert) const
    {
        fence_async_proxy_global();
        add_release(words + 2 + expert, 1);
    }

    /// One thread of the second product: until so many of the expert's tiles have been stored.
    __device__ __forceinline__ void wait_stored(int expert, int tiles) const
    {
        while (load_acquire(words + 2 + expert) < tiles)
        {
        }

        fence_async_proxy_global();
    }
};
