// One PTX instruction a function. Everything here exists from sm_80 on, or is guarded.
#pragma once
#include "ptx/types.cuh"

__device__ __forceinline__ u32 shared_address(const void* p)
{
    return (u32)__cvta_generic_to_shared(p);
}

/// The same value, which the compiler shall keep in a register rather than make again.
__device__ __forceinline__ u32 pinned(u32 v)
{
    asm volatile("" : "+r"(v));
    return v;
}

// ---- loads and stores

/// 16 read-only bytes that neighbouring warps read too.
__device__ __forceinline__ uint4 load_readonly(const void* p)
{
    uint4 v;
    asm volatile("ld.global.nc.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p));
    return v;
}

/// Brings a line of 128 bytes into L2.
__device__ __forceinline__ void prefetch_l2(const void* p)
{
    asm volatile("prefetch.global.L2 [%0];" ::"l"(p));
}

/// Past L1, for what another block of the same launch has written.
__device__ __forceinline__ float load_coherent(const float* p)
{
    float v;
    asm volatile("ld.global.cg.f32 %0, [%1];" : "=f"(v) : "l"(p) : "memory");
    return v;
}

__device__ __forceinline__ int load_coherent(const int* p)
{
    int v;
    asm volatile("ld.global.cg.s32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
    return v;
}

__device__ __forceinline__ int4 load_coherent(const int4* p)
{
    int4 v;
    asm volatile("ld.global.cg.v4.s32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "l"(p) : "memory");
    return v;
}

/// One word that another block stores meanwhile (store_relaxed), or 0: it orders nothing else.
__device__ __forceinline__ u32 load_relaxed_if(bool exists, const u32* p)
{
    u32 v;
    asm volatile("{ .reg .pred q; setp.ne.s32 q, %2, 0; mov.b32 %0, 0; @q ld.relaxed.gpu.global.u32 %0, [%1]; }"
                 : "=&r"(v) : "l"(p), "r"((int)exists) : "memory");
    return v;
}

__device__ __forceinline__ void store_relaxed(u32* p, u32 v)
{
    asm volatile("st.relaxed.gpu.global.u32 [%0], %1;" ::"l"(p), "r"(v) : "memory");
}

/// Adds, and orders nothing else; returns the value before. For whole numbers too that one lane counts: of integers the compiler has one lane add for all of
/// its warp and hand out what comes back, and so a lane would wait for that at once, not when it uses it.
__device__ __forceinline__ float add_relaxed(float* p, float v)
{
    float before;
    asm volatile("atom.relaxed.gpu.global.add.f32 %0, [%1], %2;" : "=f"(before) : "l"(p), "f"(v) : "memory");
    return before;
}

/// Adds, and publishes this thread's earlier writes, and those it has seen; returns the value before.
__device__ __forceinline__ int add_release(int* p, int v)
{
    int before;
    asm volatile("atom.acq_rel.gpu.global.add.s32 %0, [%1], %2;" : "=r"(before) : "l"(p), "r"(v) : "memory");
    return before;
}

/// What was written before an add_release of another thread can be seen after this has seen its sum.
__device__ __forceinline__ int load_acquire(const int* p)
{
    int v;
    asm volatile("ld.acquire.gpu.global.s32 %0, [%1];" : "=r"(v) : "l"(p) : "memory");
    return v;
}

__device__ __forceinline__ u32 load_shared_word(u32 address)
{
    u32 v;
    asm volatile("ld.shared.u32 %0, [%1];" : "=r"(v) : "r"(address) : "memory");
    return v;
}

__device__ __forceinline__ uint4 load_shared(u32 address)
{
    uint4 v;
    asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w) : "r"(address) : "memory");
    return v;
}

__device__ __forceinline__ void store_shared(u32 shared, const uint4& v)
{
    asm volatile("st.shared.v4.u32 [%0], {%1, %2, %3, %4};" ::"r"(shared), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w) : "memory");
}

// ---- bytes

/// Four of eight bytes: as __byte_perm, which masks selectors first. Their highest bits are 0 here.
__device__ __forceinline__ u32 permute_bytes(u32 low, u32 high, u32 selectors)
{
    u32 v;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(v) : "r"(low), "r"(high), "r"(selectors));
    return v;
}

// ---- asynchronous copies

__device__ __forceinline__ u64 policy_evict_first()
{
    u64 policy;
    asm volatile("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
    return policy;
}

/// Copies 16 bytes past L1, of which only the first `bytes` (0 or 16) are read and the others become zero; completes with this thread's
/// next group, or its next mbarrier_arrive_copy_async.
__device__ __forceinline__ void copy_async(u32 shared, const void* global, int bytes)
{
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;" ::"r"(shared), "l"(global), "r"(bytes) : "memory");
}

/// The same with an L2 eviction policy.
__device__ __forceinline__ void copy_async(u32 shared, const void* global, int bytes, u64 policy)
{
    asm volatile("cp.async.cg.shared.global.L2::cache_hint.L2::256B [%0], [%1], 16, %2, %3;"
                 ::"r"(shared), "l"(global), "r"(bytes), "l"(policy) : "memory");
}

/// Copies 4 bytes.
__device__ __forceinline__ void copy_async_word(u32 shared, const void* global)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(shared), "l"(global) : "memory");
}

__device__ __forceinline__ void copy_async_commit()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/// Waits until at most `kPending` of this thread's newest groups are under way.
template <int kPending>
__device__ __forceinline__ void copy_async_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

/// What the tensor cores read next was written by ordinary or cp.async stores. sm_90 and newer.
__device__ __forceinline__ void fence_async_proxy()
{
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/// Waits for all copies of this thread.
__device__ __forceinline__ void copy_async_wait_all()
{
    asm volatile("cp.async.wait_all;" ::: "memory");
}

/// TMA reads next what ordinary stores have written to global memory, or will do so after another thread's release. sm_90 and newer.
__device__ __forceinline__ void fence_async_proxy_global()
{
    asm volatile("fence.proxy.async.global;" ::: "memory");
}

// ---- programmatic dependent launch: nothing before sm_90, where launches are simply in order

/// Until all launches before this one have finished and their writes can be seen.
__device__ __forceinline__ void wait_for_previous_launch()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// Lets the next launch begin as far as its own wait. A kernel may say so before it waits itself only if all that may follow reads nothing before
/// its wait that a launch before this one may still be writing.
__device__ __forceinline__ void allow_next_launch()
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// ---- numbers

/// The smaller of two numbers; NaN where one is NaN. Of a number and NaN fminf would return the number.
__device__ __forceinline__ float min_or_nan(float a, float b)
{
    float v;
    asm("min.NaN.f32 %0, %1, %2;" : "=f"(v) : "f"(a), "f"(b));
    return v;
}

/// The larger of two numbers; NaN where one is NaN.
__device__ __forceinline__ float max_or_nan(float a, float b)
{
    float v;
    asm("max.NaN.f32 %0, %1, %2;" : "=f"(v) : "f"(a), "f"(b));
    return v;
}

/// 2^v, 0 below 2^−126: exp2f takes three instructions more for what lies there.
__device__ __forceinline__ float exp2_or_zero(float v)
{
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(v));
    return power;
}

// ---- pairs of BF16

/// a · b for two pairs of BF16; subnormal numbers count.
__device__ __forceinline__ u32 multiply_bf16x2(u32 a, u32 b)
{
    u32 product;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(product) : "r"(a), "r"(b), "r"(0x80008000u));
    return product;
}

/// One half of a word, twice. Instructions on halves take it out of the word themselves, so this is none.
template <int kHalf>
__device__ __forceinline__ u32 half_twice(u32 word)
{
    u32 both;
    if constexpr (kHalf == 0)
    {
        asm("{\n.reg .b16 low, high;\nmov.b32 {low, high}, %1;\nmov.b32 %0, {low, low};\n}" : "=r"(both) : "r"(word));
    }
    else
    {
        asm("{\n.reg .b16 low, high;\nmov.b32 {low, high}, %1;\nmov.b32 %0, {high, high};\n}" : "=r"(both) : "r"(word));
    }

    return both;
}

/// The larger of two pairs of BF16; of a number and NaN the number.
__device__ __forceinline__ u32 max_bf16x2(u32 a, u32 b)
{
    u32 v;
    asm("max.bf16x2 %0, %1, %2;" : "=r"(v) : "r"(a), "r"(b));
    return v;
}

/// The smaller of two pairs of BF16; of a number and NaN the number.
__device__ __forceinline__ u32 min_bf16x2(u32 a, u32 b)
{
    u32 v;
    asm("min.bf16x2 %0, %1, %2;" : "=r"(v) : "r"(a), "r"(b));
    return v;
}

// ---- matrix product of a warp

/// c += a · b for a 16 × 16, b 16 × 8 (BF16), c 16 × 8 (float32). With g = lane / 4, t = lane % 4: a0 and a2 are of row g, a1 and a3 of
/// row g + 8, a0, a1 and b0 at k = 2t, a2, a3 and b1 at k = 2t + 8; b is of column g; c0, c1 are row g, columns 2t and 2t + 1; c2, c3 row g + 8
/// (PTX ISA 9.7.14.5.8).
__device__ __forceinline__ void mma_bf16(float (&c)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

/// Two of the above over 32 values of k, from what a lane reads with three 16-byte loads: values 8t to 8t + 7 of rows g and g + 8 and of
/// column g. A product doesn't care in which order k is summed, so both operands may be dealt to the lanes in this same order.
__device__ __forceinline__ void mma_bf16_k32(float (&c)[4], const uint4& row_low, const uint4& row_high, const uint4& column)
{
    mma_bf16(c, row_low.x, row_high.x, row_low.y, row_high.y, column.x, column.y);
    mma_bf16(c, row_low.z, row_high.z, row_low.w, row_high.w, column.z, column.w);
}

/// Stores four 8 × 8 matrices of 16-bit values, each transposed: lane l holds values (l / 4, 2 (l % 4)) and the one after it of each, and
/// lanes 8m … 8m + 7 give the 16-byte rows' addresses of matrix m. sm_90 and newer.
__device__ __forceinline__ void store_matrix_transposed_x4(u32 shared, u32 a, u32 b, u32 c, u32 d)
{
    asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};"
                 ::"r"(shared), "r"(a), "r"(b), "r"(c), "r"(d) : "memory");
}

/// A barrier among `threads` of the thread block.
__device__ __forceinline__ void named_barrier(int id, int threads)
{
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

/// Loads four 8 × 8 matrices of 16-bit values: lanes 8m … 8m + 7 give the 16-byte rows' addresses of matrix m, lane l receives values
/// (l / 4, 2 (l % 4)) and the one after it of each.
__device__ __forceinline__ void load_matrix_x4(u32 (&v)[4], u32 shared)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v[0]), "=r"(v[1]), "=r"(v[2]), "=r"(v[3]) : "r"(shared) : "memory");
}
