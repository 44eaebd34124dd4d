// Clusters of thread blocks, and each other's shared memory (PTX ISA 9.7.9.12, 9.7.9.23, 9.7.13.4, 9.7.13.15). sm_90 and newer.
#pragma once
#include "ptx/types.cuh"

/// This block's number in its cluster.
__device__ __forceinline__ u32 cluster_rank()
{
    u32 rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

/// All threads of all the cluster's blocks: what was written before can be seen by whoever has waited for it.
__device__ __forceinline__ void cluster_arrive()
{
    asm volatile("barrier.cluster.arrive.release;" ::: "memory");
}

__device__ __forceinline__ void cluster_wait()
{
    asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
}

/// Where an address of this block's shared memory lies in another block's.
__device__ __forceinline__ u32 shared_address_of(u32 address, u32 rank)
{
    u32 there;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(there) : "r"(address), "r"(rank));
    return there;
}

/// Writes to another block's shared memory, and counts the bytes on that block's barrier.
__device__ __forceinline__ void send(u32 address, const float4& v, u32 barrier)
{
    asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.f32 [%0], {%1, %2, %3, %4}, [%5];"
                 ::"r"(address), "f"(v.x), "f"(v.y), "f"(v.z), "f"(v.w), "r"(barrier) : "memory");
}

__device__ __forceinline__ void send(u32 address, int v, u32 barrier)
{
    asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.s32 [%0], %1, [%2];" ::"r"(address), "r"(v), "r"(barrier) : "memory");
}

/// Waits until the phase of the given parity has completed, and what other blocks sent can be seen.
__device__ __forceinline__ void wait_received(u32 barrier, u32 parity)
{
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 done, [%0], %1;\n"
        "@!done bra again;\n"
        "}" ::"r"(barrier), "r"(parity) : "memory");
}
