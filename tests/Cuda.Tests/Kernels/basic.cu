// Small kernels, each for one thing that a launch can do.
#include "scale.cuh"

// output[i] = factor * input[i]
extern "C" __global__ void scale(const ScaleParameters p)
{
    u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < p.count)
    {
        p.output[i] = p.factor * p.input[i];
    }
}

// Spins for a while, then counts up: an order that is not kept shows in the result.
extern "C" __global__ void delayed_fill(u32* output, u32 value, u64 cycles)
{
    long long start = clock64();
    while ((u64)(clock64() - start) < cycles)
    {
    }
    output[threadIdx.x] = value;
}

extern "C" __global__ void illegal_write(u32* output)
{
    *output = 1;
}

template <int N>
__global__ void reverse(u32* values)
{
    __shared__ u32 staged[N];
    staged[threadIdx.x] = values[threadIdx.x];
    __syncthreads();
    values[threadIdx.x] = staged[N - 1 - threadIdx.x];
}
