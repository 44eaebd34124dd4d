// Matrix products of a warpgroup (PTX ISA 9.7.15): both operands in shared memory, BF16, K contiguous, 128-byte swizzle. sm_90a only.
#pragma once
#include "ptx.cuh"

/// Describes an operand whose rows are 128 bytes (64 values of k) and begin at `shared`, a multiple of 1024; groups of 8 rows follow each
/// other. 16 values of k further is 2 more.
__device__ __forceinline__ u64 wgmma_descriptor(u32 shared)
{
    return (u64)((shared & 0x3ffff) >> 4) | (u64)1 << 16 | (u64)(1024 >> 4) << 32 | (u64)1 << 62;
}

/// Orders earlier register and shared memory accesses before the products that follow.
__device__ __forceinline__ void wgmma_fence()
{
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void wgmma_commit()
{
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

/// Waits until at most `kPending` of the newest groups are under way.
template <int kPending>
__device__ __forceinline__ void wgmma_wait()
{
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

/// Takes registers from, or gives them back to, the thread block's pool; all warps of a warpgroup together.
template <int kRegisters>
__device__ __forceinline__ void registers_raise()
{
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

template <int kRegisters>
__device__ __forceinline__ void registers_lower()
{
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
}

/// What the tensor cores read next was written by ordinary or cp.async stores.
__device__ __forceinline__ void fence_async_proxy()
{
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

#define MOE_D4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])

/// d (64 × kColumns, kColumns / 2 values a thread) += a · b. Thread 32w + 4g + t has d[4j], d[4j + 1] of row 16w + g, columns 8j + 2t and
/// 8j + 2t + 1; d[4j + 2], d[4j + 3] of row 16w + g + 8.
template <int kColumns>
__device__ __forceinline__ void wgmma_bf16(float* d, u64 a, u64 b)
{
    if constexpr (kColumns == 16)
    {
        asm volatile("{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"
                     "wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 {"
                     "%0, %1, %2, %3, %4, %5, %6, %7}, "
                     "%8, %9, p, 1, 1, 0, 0;\n}"
                     : MOE_D4(0), MOE_D4(4)
                     : "l"(a), "l"(b));
    }
    else if constexpr (kColumns == 24)
    {
        asm volatile("{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"
                     "wgmma.mma_async.sync.aligned.m64n24k16.f32.bf16.bf16 {"
                     "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11}, "
                     "%12, %13, p, 1, 1, 0, 0;\n}"
                     : MOE_D4(0), MOE_D4(4), MOE_D4(8)
                     : "l"(a), "l"(b));
    }
    else if constexpr (kColumns == 32)
    {
        asm volatile("{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"
                     "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {"
                     "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}, "
                     "%16, %17, p, 1, 1, 0, 0;\n}"
                     : MOE_D4(0), MOE_D4(4), MOE_D4(8), MOE_D4(12)
                     : "l"(a), "l"(b));
    }
    else if constexpr (kColumns == 40)
    {
        asm volatile("{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"
                     "wgmma.mma_async.sync.aligned.m64n40k16.f32.bf16.bf16 {"
                     "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19}, "
                     "%20, %21, p, 1, 1, 0, 0;\n}"
                     : MOE_D4(0), MOE_D4(4), MOE_D4(8), MOE_D4(12), MOE_D4(16)
                     : "l"(a), "l"(b));
    }
    else if constexpr (kColumns == 48)
    {
        asm volatile("{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"
                     "wgmma.mma_async.sync.aligned.m64n48k16.f32.bf16.bf16 {"
                     "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23}, "
                     "%24, %25, p, 1, 1, 0, 0;\n}"
                     : MOE_D4(0), MOE_D4(4), MOE_D4(8), MOE_D4(12), MOE_D4(16), MOE_D4(20)
                     : "l"(a), "l"(b));
    }
    else if constexpr (kColumns == 56)
    {
        asm volatile("{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"
                     "wgmma.mma_async.sync.aligned.m64n56k16.f32.bf16.bf16 {"
                     "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27}, "
                     "%28, %29, p, 1, 1, 0, 0;\n}"
                     : MOE_D4(0), MOE_D4(4), MOE_D4(8), MOE_D4(12), MOE_D4(16), MOE_D4(20), MOE_D4(24)
                     : "l"(a), "l"(b));
    }
    else if constexpr (kColumns == 64)
    {
        asm volatile("{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"
                     "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {"
                     "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
                     "%32, %33, p, 1, 1, 0, 0;\n}"
                     : MOE_D4(0), MOE_D4(4), MOE_D4(8), MOE_D4(12), MOE_D4(16), MOE_D4(20), MOE_D4(24), MOE_D4(28)
                     : "l"(a), "l"(b));
    }
    else if constexpr (kColumns == 72)
    {
        asm volatile("{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"
                     "wgmma.mma_async.sync.aligned.m64n72k16.f32.bf16.bf16 {"
                     "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
                     "%32, %33, %34, %35}, "
                     "%36, %37, p, 1, 1, 0, 0;\n}"
                     : MOE_D4(0), MOE_D4(4), MOE_D4(8), MOE_D4(12), MOE_D4(16), MOE_D4(20), MOE_D4(24), MOE_D4(28),
                       MOE_D4(32)
                     : "l"(a), "l"(b));
    }
    else if constexpr (kColumns == 80)
    {
        asm volatile("{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"
                     "wgmma.mma_async.sync.aligned.m64n80k16.f32.bf16.bf16 {"
                     "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
                     "%32, %33, %34, %35, %36, %37, %38, %39}, "
                     "%40, %41, p, 1, 1, 0, 0;\n}"
                     : MOE_D4(0), MOE_D4(4), MOE_D4(8), MOE_D4(12), MOE_D4(16), MOE_D4(20), MOE_D4(24), MOE_D4(28),
                       MOE_D4(32), MOE_D4(36)
                     : "l"(a), "l"(b));
    }
    else if constexpr (kColumns == 88)
    {
        asm volatile("{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"
                     "wgmma.mma_async.sync.aligned.m64n88k16.f32.bf16.bf16 {"
                     "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
                     "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43}, "
                     "%44, %45, p, 1, 1, 0, 0;\n}"
                     : MOE_D4(0), MOE_D4(4), MOE_D4(8), MOE_D4(12), MOE_D4(16), MOE_D4(20), MOE_D4(24), MOE_D4(28),
                       MOE_D4(32), MOE_D4(36), MOE_D4(40)
                     : "l"(a), "l"(b));
    }
    else if constexpr (kColumns == 96)
    {
        asm volatile("{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"
                     "wgmma.mma_async.sync.aligned.m64n96k16.f32.bf16.bf16 {"
                     "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
                     "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47}, "
                     "%48, %49, p, 1, 1, 0, 0;\n}"
                     : MOE_D4(0), MOE_D4(4), MOE_D4(8), MOE_D4(12), MOE_D4(16), MOE_D4(20), MOE_D4(24), MOE_D4(28),
                       MOE_D4(32), MOE_D4(36), MOE_D4(40), MOE_D4(44)
                     : "l"(a), "l"(b));
    }
    else if constexpr (kColumns == 104)
    {
        asm volatile("{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"
                     "wgmma.mma_async.sync.aligned.m64n104k16.f32.bf16.bf16 {"
                     "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
                     "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51}, "
                     "%52, %53, p, 1, 1, 0, 0;\n}"
                     : MOE_D4(0), MOE_D4(4), MOE_D4(8), MOE_D4(12), MOE_D4(16), MOE_D4(20), MOE_D4(24), MOE_D4(28),
                       MOE_D4(32), MOE_D4(36), MOE_D4(40), MOE_D4(44), MOE_D4(48)
                     : "l"(a), "l"(b));
    }
    else if constexpr (kColumns == 112)
    {
        asm volatile("{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"
                     "wgmma.mma_async.sync.aligned.m64n112k16.f32.bf16.bf16 {"
                     "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
                     "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55}, "
                     "%56, %57, p, 1, 1, 0, 0;\n}"
                     : MOE_D4(0), MOE_D4(4), MOE_D4(8), MOE_D4(12), MOE_D4(16), MOE_D4(20), MOE_D4(24), MOE_D4(28),
                       MOE_D4(32), MOE_D4(36), MOE_D4(40), MOE_D4(44), MOE_D4(48), MOE_D4(52)
                     : "l"(a), "l"(b));
    }
    else if constexpr (kColumns == 120)
    {
        asm volatile("{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"
                     "wgmma.mma_async.sync.aligned.m64n120k16.f32.bf16.bf16 {"
                     "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
                     "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59}, "
                     "%60, %61, p, 1, 1, 0, 0;\n}"
                     : MOE_D4(0), MOE_D4(4), MOE_D4(8), MOE_D4(12), MOE_D4(16), MOE_D4(20), MOE_D4(24), MOE_D4(28),
                       MOE_D4(32), MOE_D4(36), MOE_D4(40), MOE_D4(44), MOE_D4(48), MOE_D4(52), MOE_D4(56)
                     : "l"(a), "l"(b));
    }
    else if constexpr (kColumns == 128)
    {
        asm volatile("{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"
                     "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {"
                     "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
                     "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
                     "%64, %65, p, 1, 1, 0, 0;\n}"
                     : MOE_D4(0), MOE_D4(4), MOE_D4(8), MOE_D4(12), MOE_D4(16), MOE_D4(20), MOE_D4(24), MOE_D4(28),
                       MOE_D4(32), MOE_D4(36), MOE_D4(40), MOE_D4(44), MOE_D4(48), MOE_D4(52), MOE_D4(56), MOE_D4(60)
                     : "l"(a), "l"(b));
    }
    else
    {
        static_assert(kColumns < 0, "a multiple of 8 from 16 to 128");
    }
}

#undef MOE_D4
