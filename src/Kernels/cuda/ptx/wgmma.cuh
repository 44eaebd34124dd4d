// Matrix products of a warpgroup (PTX ISA 9.7.15): BF16 and E4M3, K contiguous; operands in shared memory have the 128-byte swizzle. sm_90a only.
#pragma once
#include "ptx/ptx.cuh"

/// Describes an operand whose rows are 128 bytes (64 values of k in BF16) and begin at `shared`, a multiple of 1024; groups of 8 rows follow each
/// other. One instruction's values of k, 32 bytes, further is 2 more.
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

// The registers of d, as text and as operands, for each number of columns: those of 8 fewer, and four more.
#define MOE_D4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define MOE_TEXT_8 "%0, %1, %2, %3"
#define MOE_SUMS_8 MOE_D4(0)
#define MOE_TEXT_16 MOE_TEXT_8 ", %4, %5, %6, %7"
#define MOE_SUMS_16 MOE_SUMS_8, MOE_D4(4)
#define MOE_TEXT_24 MOE_TEXT_16 ", %8, %9, %10, %11"
#define MOE_SUMS_24 MOE_SUMS_16, MOE_D4(8)
#define MOE_TEXT_32 MOE_TEXT_24 ", %12, %13, %14, %15"
#define MOE_SUMS_32 MOE_SUMS_24, MOE_D4(12)
#define MOE_TEXT_40 MOE_TEXT_32 ", %16, %17, %18, %19"
#define MOE_SUMS_40 MOE_SUMS_32, MOE_D4(16)
#define MOE_TEXT_48 MOE_TEXT_40 ", %20, %21, %22, %23"
#define MOE_SUMS_48 MOE_SUMS_40, MOE_D4(20)
#define MOE_TEXT_56 MOE_TEXT_48 ", %24, %25, %26, %27"
#define MOE_SUMS_56 MOE_SUMS_48, MOE_D4(24)
#define MOE_TEXT_64 MOE_TEXT_56 ", %28, %29, %30, %31"
#define MOE_SUMS_64 MOE_SUMS_56, MOE_D4(28)
#define MOE_TEXT_72 MOE_TEXT_64 ", %32, %33, %34, %35"
#define MOE_SUMS_72 MOE_SUMS_64, MOE_D4(32)
#define MOE_TEXT_80 MOE_TEXT_72 ", %36, %37, %38, %39"
#define MOE_SUMS_80 MOE_SUMS_72, MOE_D4(36)
#define MOE_TEXT_88 MOE_TEXT_80 ", %40, %41, %42, %43"
#define MOE_SUMS_88 MOE_SUMS_80, MOE_D4(40)
#define MOE_TEXT_96 MOE_TEXT_88 ", %44, %45, %46, %47"
#define MOE_SUMS_96 MOE_SUMS_88, MOE_D4(44)
#define MOE_TEXT_104 MOE_TEXT_96 ", %48, %49, %50, %51"
#define MOE_SUMS_104 MOE_SUMS_96, MOE_D4(48)
#define MOE_TEXT_112 MOE_TEXT_104 ", %52, %53, %54, %55"
#define MOE_SUMS_112 MOE_SUMS_104, MOE_D4(52)
#define MOE_TEXT_120 MOE_TEXT_112 ", %56, %57, %58, %59"
#define MOE_SUMS_120 MOE_SUMS_112, MOE_D4(56)
#define MOE_TEXT_128 MOE_TEXT_120 ", %60, %61, %62, %63"
#define MOE_SUMS_128 MOE_SUMS_120, MOE_D4(60)
#define MOE_TEXT_136 MOE_TEXT_128 ", %64, %65, %66, %67"
#define MOE_SUMS_136 MOE_SUMS_128, MOE_D4(64)
#define MOE_TEXT_144 MOE_TEXT_136 ", %68, %69, %70, %71"
#define MOE_SUMS_144 MOE_SUMS_136, MOE_D4(68)
#define MOE_TEXT_152 MOE_TEXT_144 ", %72, %73, %74, %75"
#define MOE_SUMS_152 MOE_SUMS_144, MOE_D4(72)
#define MOE_TEXT_160 MOE_TEXT_152 ", %76, %77, %78, %79"
#define MOE_SUMS_160 MOE_SUMS_152, MOE_D4(76)
#define MOE_TEXT_168 MOE_TEXT_160 ", %80, %81, %82, %83"
#define MOE_SUMS_168 MOE_SUMS_160, MOE_D4(80)
#define MOE_TEXT_176 MOE_TEXT_168 ", %84, %85, %86, %87"
#define MOE_SUMS_176 MOE_SUMS_168, MOE_D4(84)
#define MOE_TEXT_184 MOE_TEXT_176 ", %88, %89, %90, %91"
#define MOE_SUMS_184 MOE_SUMS_176, MOE_D4(88)
#define MOE_TEXT_192 MOE_TEXT_184 ", %92, %93, %94, %95"
#define MOE_SUMS_192 MOE_SUMS_184, MOE_D4(92)
#define MOE_TEXT_200 MOE_TEXT_192 ", %96, %97, %98, %99"
#define MOE_SUMS_200 MOE_SUMS_192, MOE_D4(96)
#define MOE_TEXT_208 MOE_TEXT_200 ", %100, %101, %102, %103"
#define MOE_SUMS_208 MOE_SUMS_200, MOE_D4(100)
#define MOE_TEXT_216 MOE_TEXT_208 ", %104, %105, %106, %107"
#define MOE_SUMS_216 MOE_SUMS_208, MOE_D4(104)
#define MOE_TEXT_224 MOE_TEXT_216 ", %108, %109, %110, %111"
#define MOE_SUMS_224 MOE_SUMS_216, MOE_D4(108)
#define MOE_TEXT_232 MOE_TEXT_224 ", %112, %113, %114, %115"
#define MOE_SUMS_232 MOE_SUMS_224, MOE_D4(112)
#define MOE_TEXT_240 MOE_TEXT_232 ", %116, %117, %118, %119"
#define MOE_SUMS_240 MOE_SUMS_232, MOE_D4(116)
#define MOE_TEXT_248 MOE_TEXT_240 ", %120, %121, %122, %123"
#define MOE_SUMS_248 MOE_SUMS_240, MOE_D4(120)
#define MOE_TEXT_256 MOE_TEXT_248 ", %124, %125, %126, %127"
#define MOE_SUMS_256 MOE_SUMS_248, MOE_D4(124)

// One instruction, in a chain of cases; `a` and `b` are the numbers of the operands behind d.
#define MOE_WGMMA(n, a, b)                                                                                                \
    if constexpr (kColumns == n)                                                                                          \
    {                                                                                                                     \
        asm volatile("{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"                                                           \
                     "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" MOE_TEXT_##n "}, %" #a ", %" #b         \
                     ", p, 1, 1, 0, 0;\n}" : MOE_SUMS_##n : "l"(rows), "l"(columns));                                     \
    }
#define MOE_WGMMA_REGISTERS(n, a0, a1, a2, a3, b)                                                                         \
    if constexpr (kColumns == n)                                                                                          \
    {                                                                                                                     \
        asm volatile("{\n.reg .pred p;\nsetp.eq.u32 p, 0, 0;\n"                                                           \
                     "wgmma.mma_async.sync.aligned.m64n" #n "k16.f32.bf16.bf16 {" MOE_TEXT_##n "}, {%" #a0 ", %" #a1 ", %" #a2 ", %" #a3 "}, %" #b \
                     ", p, 1, 1, 0;\n}" : MOE_SUMS_##n : "r"(rows[0]), "r"(rows[1]), "r"(rows[2]), "r"(rows[3]), "l"(columns)); \
    }

/// d (64 × kColumns, kColumns / 2 values a thread) += rows · columns. Thread 32w + 4g + t has d[4j], d[4j + 1] of row 16w + g, columns
/// 8j + 2t and 8j + 2t + 1; d[4j + 2], d[4j + 3] of row 16w + g + 8.
template <int kColumns>
__device__ __forceinline__ void wgmma_bf16(float* d, u64 rows, u64 columns)
{
    static_assert(kColumns % 8 == 0 && kColumns >= 16 && kColumns <= 128, "add the cases that are needed");
    MOE_WGMMA(16, 8, 9)
    else MOE_WGMMA(24, 12, 13)
    else MOE_WGMMA(32, 16, 17)
    else MOE_WGMMA(40, 20, 21)
    else MOE_WGMMA(48, 24, 25)
    else MOE_WGMMA(56, 28, 29)
    else MOE_WGMMA(64, 32, 33)
    else MOE_WGMMA(72, 36, 37)
    else MOE_WGMMA(80, 40, 41)
    else MOE_WGMMA(88, 44, 45)
    else MOE_WGMMA(96, 48, 49)
    else MOE_WGMMA(104, 52, 53)
    else MOE_WGMMA(112, 56, 57)
    else MOE_WGMMA(120, 60, 61)
    else MOE_WGMMA(128, 64, 65)
}

/// The same with the rows in registers: each warp has 16 of them, laid out as mma_bf16's first operand.
template <int kColumns>
__device__ __forceinline__ void wgmma_bf16(float* d, const u32 (&rows)[4], u64 columns)
{
    static_assert(kColumns % 8 == 0 && kColumns >= 8 && kColumns <= 256, "what the instruction takes");
    MOE_WGMMA_REGISTERS(8, 4, 5, 6, 7, 8)
    else MOE_WGMMA_REGISTERS(16, 8, 9, 10, 11, 12)
    else MOE_WGMMA_REGISTERS(24, 12, 13, 14, 15, 16)
    else MOE_WGMMA_REGISTERS(32, 16, 17, 18, 19, 20)
    else MOE_WGMMA_REGISTERS(40, 20, 21, 22, 23, 24)
    else MOE_WGMMA_REGISTERS(48, 24, 25, 26, 27, 28)
    else MOE_WGMMA_REGISTERS(56, 28, 29, 30, 31, 32)
    else MOE_WGMMA_REGISTERS(64, 32, 33, 34, 35, 36)
    else MOE_WGMMA_REGISTERS(72, 36, 37, 38, 39, 40)
    else MOE_WGMMA_REGISTERS(80, 40, 41, 42, 43, 44)
    else MOE_WGMMA_REGISTERS(88, 44, 45, 46, 47, 48)
    else MOE_WGMMA_REGISTERS(96, 48, 49, 50, 51, 52)
    else MOE_WGMMA_REGISTERS(104, 52, 53, 54, 55, 56)
    else MOE_WGMMA_REGISTERS(112, 56, 57, 58, 59, 60)
    else MOE_WGMMA_REGISTERS(120, 60, 61, 62, 63, 64)
    else MOE_WGMMA_REGISTERS(128, 64, 65, 66, 67, 68)
    else MOE_WGMMA_REGISTERS(136, 68, 69, 70, 71, 72)
    else MOE_WGMMA_REGISTERS(144, 72, 73, 74, 75, 76)
    else MOE_WGMMA_REGISTERS(152, 76, 77, 78, 79, 80)
    else MOE_WGMMA_REGISTERS(160, 80, 81, 82, 83, 84)
    else MOE_WGMMA_REGISTERS(168, 84, 85, 86, 87, 88)
    else MOE_WGMMA_REGISTERS(176, 88, 89, 90, 91, 92)
    else MOE_WGMMA_REGISTERS(184, 92, 93, 94, 95, 96)
    else MOE_WGMMA_REGISTERS(192, 96, 97, 98, 99, 100)
    else MOE_WGMMA_REGISTERS(200, 100, 101, 102, 103, 104)
    else MOE_WGMMA_REGISTERS(208, 104, 105, 106, 107, 108)
    else MOE_WGMMA_REGISTERS(216, 108, 109, 110, 111, 112)
    else MOE_WGMMA_REGISTERS(224, 112, 113, 114, 115, 116)
    else MOE_WGMMA_REGISTERS(232, 116, 117, 118, 119, 120)
    else MOE_WGMMA_REGISTERS(240, 120, 121, 122, 123, 124)
    else MOE_WGMMA_REGISTERS(248, 124, 125, 126, 127, 128)
    else MOE_WGMMA_REGISTERS(256, 128, 129, 130, 131, 132)
}

#define MOE_WGMMA_E4M3(n, a0, a1, a2, a3, b, adds)                                                                        \
    if constexpr (kColumns == n)                                                                                          \
    {                                                                                                                     \
        asm volatile("{\n.reg .pred p;\nsetp.ne.u32 p, %" #adds ", 0;\n"                                                  \
                     "wgmma.mma_async.sync.aligned.m64n" #n "k32.f32.e4m3.e4m3 {" MOE_TEXT_##n "}, {%" #a0 ", %" #a1 ", %" #a2 ", %" #a3 "}, %" #b \
                     ", p, 1, 1;\n}" : MOE_SUMS_##n : "r"(rows[0]), "r"(rows[1]), "r"(rows[2]), "r"(rows[3]), "l"(columns), "n"(kAdds)); \
    }

/// d (64 × kColumns) = rows · columns of 32 values of k in E4M3, added to d with kAdds. Of a thread's registers 0 and 2 are of row 16w + g, 1 and 3 of row
/// 16w + g + 8; 0 and 1 have k = 4t to 4t + 3, the others those 16 further. Sums keep about 14 bits (DeepSeek-V3 Technical Report, §3.3.2).
template <int kColumns, bool kAdds>
__device__ __forceinline__ void wgmma_e4m3(float* d, const u32 (&rows)[4], u64 columns)
{
    static_assert(kColumns == 256 || kColumns % 8 == 0 && kColumns >= 8 && kColumns <= 192, "add the cases that are needed");
    MOE_WGMMA_E4M3(8, 4, 5, 6, 7, 8, 9)
    else MOE_WGMMA_E4M3(16, 8, 9, 10, 11, 12, 13)
    else MOE_WGMMA_E4M3(24, 12, 13, 14, 15, 16, 17)
    else MOE_WGMMA_E4M3(32, 16, 17, 18, 19, 20, 21)
    else MOE_WGMMA_E4M3(40, 20, 21, 22, 23, 24, 25)
    else MOE_WGMMA_E4M3(48, 24, 25, 26, 27, 28, 29)
    else MOE_WGMMA_E4M3(56, 28, 29, 30, 31, 32, 33)
    else MOE_WGMMA_E4M3(64, 32, 33, 34, 35, 36, 37)
    else MOE_WGMMA_E4M3(72, 36, 37, 38, 39, 40, 41)
    else MOE_WGMMA_E4M3(80, 40, 41, 42, 43, 44, 45)
    else MOE_WGMMA_E4M3(88, 44, 45, 46, 47, 48, 49)
    else MOE_WGMMA_E4M3(96, 48, 49, 50, 51, 52, 53)
    else MOE_WGMMA_E4M3(104, 52, 53, 54, 55, 56, 57)
    else MOE_WGMMA_E4M3(112, 56, 57, 58, 59, 60, 61)
    else MOE_WGMMA_E4M3(120, 60, 61, 62, 63, 64, 65)
    else MOE_WGMMA_E4M3(128, 64, 65, 66, 67, 68, 69)
    else MOE_WGMMA_E4M3(136, 68, 69, 70, 71, 72, 73)
    else MOE_WGMMA_E4M3(144, 72, 73, 74, 75, 76, 77)
    else MOE_WGMMA_E4M3(152, 76, 77, 78, 79, 80, 81)
    else MOE_WGMMA_E4M3(160, 80, 81, 82, 83, 84, 85)
    else MOE_WGMMA_E4M3(168, 84, 85, 86, 87, 88, 89)
    else MOE_WGMMA_E4M3(176, 88, 89, 90, 91, 92, 93)
    else MOE_WGMMA_E4M3(184, 92, 93, 94, 95, 96, 97)
    else MOE_WGMMA_E4M3(192, 96, 97, 98, 99, 100, 101)
    else MOE_WGMMA_E4M3(256, 128, 129, 130, 131, 132, 133)
}

#undef MOE_D4
#undef MOE_WGMMA
#undef MOE_WGMMA_REGISTERS
#undef MOE_WGMMA_E4M3
