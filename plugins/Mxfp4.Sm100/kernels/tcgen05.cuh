// Tensor memory and the fifth generation's matrix instruction (PTX ISA 9.7.16): sm_100a and sm_103a. One PTX instruction a function.
#pragma once
#include "ptx/ptx.cuh"
#include "ptx/tma.cuh"

/// Allocates columns of tensor memory, a power of two from 32 on; a whole warp. The address goes to shared memory.
template <int kColumns>
__device__ __forceinline__ void tensor_allocate(u32 shared)
{
    asm volatile("tcgen05.alloc.cta_group::1.sync.aligned.shared::cta.b32 [%0], %1;" ::"r"(shared), "n"(kColumns) : "memory");
    asm volatile("tcgen05.relinquish_alloc_permit.cta_group::1.sync.aligned;" ::: "memory");
}

/// Frees them; the same warp, whole.
template <int kColumns>
__device__ __forceinline__ void tensor_free(u32 tensor)
{
    asm volatile("tcgen05.dealloc.cta_group::1.sync.aligned.b32 %0, %1;" ::"r"(tensor), "n"(kColumns) : "memory");
}

/// Orders this thread's tensor-memory work before what a barrier orders after it.
__device__ __forceinline__ void tensor_fence_before()
{
    asm volatile("tcgen05.fence::before_thread_sync;" ::: "memory");
}

/// Orders this thread's tensor-memory work after what a barrier orders before it.
__device__ __forceinline__ void tensor_fence_after()
{
    asm volatile("tcgen05.fence::after_thread_sync;" ::: "memory");
}

/// Copies a tile of scales from shared memory to 4 columns of tensor memory: of 32 rows of 16 bytes each becomes a lane, the same in all
/// four groups of 32 lanes. Ordered before this thread's later matrix instructions.
__device__ __forceinline__ void tensor_copy_scales(u32 tensor, u64 descriptor)
{
    asm volatile("tcgen05.cp.cta_group::1.32x128b.warpx4 [%0], %1;" ::"r"(tensor), "l"(descriptor) : "memory");
}

/// d = (accumulate ? d : 0) + (a · a's scales) · (b · b's scales)ᵀ, 128 rows, 32 inputs; one thread.
__device__ __forceinline__ void tensor_mma_block_scaled(u32 d, u64 a, u64 b, u32 instruction, u32 a_scales, u32 b_scales, bool accumulate)
{
    asm volatile(
        "{\n"
        ".reg .pred p;\n"
        "setp.ne.u32 p, %6, 0;\n"
        "tcgen05.mma.cta_group::1.kind::mxf8f6f4.block_scale.scale_vec::1X [%0], %1, %2, %3, [%4], [%5], p;\n"
        "}" ::"r"(d), "l"(a), "l"(b), "r"(instruction), "r"(a_scales), "r"(b_scales), "r"((u32)accumulate) : "memory");
}

/// Arrives at a barrier once all of this thread's matrix instructions and copies so far have completed.
__device__ __forceinline__ void tensor_commit(u32 barrier)
{
    asm volatile("tcgen05.commit.cta_group::1.mbarrier::arrive::one.shared::cluster.b64 [%0];" ::"r"(barrier) : "memory");
}

/// 16 columns of this warp's 32 lanes, a lane each; a whole warp, the same address. Complete after tensor_wait_loads.
__device__ __forceinline__ void tensor_load_x16(u32 (&v)[16], u32 tensor)
{
    asm volatile("tcgen05.ld.sync.aligned.32x32b.x16.b32 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}, [%16];"
                 : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3]), "=r"(v[4]), "=r"(v[5]), "=r"(v[6]), "=r"(v[7]), "=r"(v[8]), "=r"(v[9]),
                   "=r"(v[10]), "=r"(v[11]), "=r"(v[12]), "=r"(v[13]), "=r"(v[14]), "=r"(v[15])
                 : "r"(tensor) : "memory");
}

__device__ __forceinline__ void tensor_wait_loads()
{
    asm volatile("tcgen05.wait::ld.sync.aligned;" ::: "memory");
}

/// Four rows of a matrix, each by its number, to four consecutive rows of shared memory.
__device__ __forceinline__ void tma_gather4(u32 shared, const TensorMap* map, u32 barrier, int column, const int (&rows)[4])
{
    asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile::gather4.mbarrier::complete_tx::bytes "
                 "[%0], [%1, {%3, %4, %5, %6, %7}], [%2];"
                 ::"r"(shared), "l"(map), "r"(barrier), "r"(column), "r"(rows[0]), "r"(rows[1]), "r"(rows[2]), "r"(rows[3]) : "memory");
}
