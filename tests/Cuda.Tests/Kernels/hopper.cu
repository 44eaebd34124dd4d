// What compute capability 9.0 adds: clusters, programmatic dependent launch, the tensor memory accelerator.
#include "types.cuh"

__device__ u32 shared_address(const void* pointer)
{
    return (u32)__cvta_generic_to_shared(pointer);
}

// Each block writes its rank in the cluster and the cluster's size.
extern "C" __global__ void cluster_ranks(u32* output)
{
    u32 rank, size;
    asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    asm("mov.u32 %0, %%cluster_nctarank;" : "=r"(size));
    if (threadIdx.x == 0)
    {
        output[blockIdx.x] = size * 100 + rank;
    }
}

// Lets its successor start at once, then writes after a while.
extern "C" __global__ void pdl_first(u32* value)
{
    asm volatile("griddepcontrol.launch_dependents;");
    long long start = clock64();
    while (clock64() - start < 2000000)
    {
    }
    *value = 41;
}

// Must see what pdl_first wrote.
extern "C" __global__ void pdl_second(u32* value)
{
    asm volatile("griddepcontrol.wait;" ::: "memory");
    *value += 1;
}

struct alignas(64) TensorMap
{
    u64 opaque[16];
};

struct BoxParameters
{
    TensorMap map;
    u32* output;
    u32 x;
    u32 y;
};

// Fetches one 8 x 4 box of 32-bit elements and writes it out densely.
extern "C" __global__ void fetch_box(const __grid_constant__ BoxParameters p)
{
    __shared__ alignas(128) u32 box[4 * 8];
    __shared__ alignas(8) u64 barrier;
    u32 bar = shared_address(&barrier);
    if (threadIdx.x == 0)
    {
        asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(bar));
        asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(bar), "r"((u32)sizeof(box)) : "memory");
        asm volatile(
            "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(
                shared_address(box)),
            "l"(&p.map), "r"(p.x), "r"(p.y), "r"(bar)
            : "memory");
    }
    __syncthreads();
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], 0;\n"
        "@!done bra again;\n"
        "}" ::"r"(bar)
        : "memory");
    p.output[threadIdx.x] = box[threadIdx.x];
}
