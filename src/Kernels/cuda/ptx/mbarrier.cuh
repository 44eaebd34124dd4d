// Barriers in shared memory that copies and threads arrive at (PTX ISA 9.7.13.15); what concerns TMA is for sm_90 and newer.
#pragma once
#include "ptx/ptx.cuh"

__device__ __forceinline__ void mbarrier_init(u32 barrier, u32 arrivals)
{
    asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

/// Makes initialised barriers visible to TMA.
__device__ __forceinline__ void mbarrier_fence_init()
{
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void mbarrier_arrive(u32 barrier)
{
    asm volatile("{ .reg .b64 state; mbarrier.arrive.shared.b64 state, [%0]; }" ::"r"(barrier) : "memory");
}

/// Arrives, and makes the phase wait for `bytes` more from TMA.
__device__ __forceinline__ void mbarrier_arrive_expect(u32 barrier, u32 bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}

/// Arrives once all earlier cp.async of this thread have completed; one of the barrier's counted arrivals.
__device__ __forceinline__ void mbarrier_arrive_copy_async(u32 barrier)
{
    asm volatile("cp.async.mbarrier.arrive.noinc.shared.b64 [%0];" ::"r"(barrier) : "memory");
}

/// Whether the phase of the given parity has completed.
__device__ __forceinline__ bool mbarrier_is_over(u32 barrier, u32 parity)
{
    u32 over;
    asm volatile("{ .reg .pred done; mbarrier.test_wait.parity.shared.b64 done, [%1], %2; selp.u32 %0, 1, 0, done; }" : "=r"(over) : "r"(barrier), "r"(parity) : "memory");
    return over != 0;
}

/// Waits until the phase of the given parity has completed.
__device__ __forceinline__ void mbarrier_wait(u32 barrier, u32 parity)
{
#if __CUDA_ARCH__ >= 900
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "again:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
        "@!done bra again;\n"
        "}" ::"r"(barrier), "r"(parity) : "memory");
#else
    asm volatile(
        "{\n"
        ".reg .pred done;\n"
        "again:\n"
        "mbarrier.test_wait.parity.shared.b64 done, [%0], %1;\n"
        "@!done bra again;\n"
        "}" ::"r"(barrier), "r"(parity) : "memory");
#endif
}
