// Where the time of a block's threads goes, for whoever tunes a kernel: with MOE_PROBE defined, threads write down what they waited for, and the host
// finds it in moe_probe (KernelProbe.cs). Without it nothing of this is left in the code.
#pragma once
#include "ptx/types.cuh"

#ifdef MOE_PROBE
/// What one thread noted. Marks are cycles after its beginning, and 0 for what never happened; what marks and sums are is the kernel's to say.
struct ProbeRecord
{
    u64 begun, ended;  // nanoseconds
    u32 kernel, block, multiprocessor, role, cycles, tiles, marks[2], sums[3], spare;
};

struct ProbeRecords
{
    static constexpr u32 kRecords = 1 << 14;  // a power of two
    u32 count, spare[15];
    ProbeRecord records[kRecords];
};

__device__ ProbeRecords moe_probe;
#endif

/// One thread's notes.
struct Probe
{
#ifdef MOE_PROBE
    u64 begun;
    u32 start, since, tiles, marks[2], sums[3];

    static __device__ __forceinline__ u64 nanoseconds()
    {
        u64 now;
        asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(now));
        return now;
    }

    static __device__ __forceinline__ u32 cycles()
    {
        u32 now;
        asm volatile("mov.u32 %0, %%clock;" : "=r"(now)::"memory");
        return now;
    }

    __device__ __forceinline__ void begin()
    {
        begun = nanoseconds();
        start = cycles();
        tiles = marks[0] = marks[1] = sums[0] = sums[1] = sums[2] = 0;
    }

    /// The first time alone.
    __device__ __forceinline__ void mark(int i) { marks[i] = marks[i] == 0 ? cycles() - start : marks[i]; }

    __device__ __forceinline__ void from() { since = cycles(); }

    __device__ __forceinline__ void add(int i) { sums[i] += cycles() - since; }

    __device__ __forceinline__ void tile() { tiles++; }

    /// At its end, one thread of a role.
    __device__ __forceinline__ void leave(u32 kernel, u32 role) const
    {
        u32 multiprocessor;
        asm volatile("mov.u32 %0, %%smid;" : "=r"(multiprocessor));
        ProbeRecord& own = moe_probe.records[atomicAdd(&moe_probe.count, 1) % ProbeRecords::kRecords];
        own.begun = begun;
        own.ended = nanoseconds();
        own.kernel = kernel;
        own.block = blockIdx.x;
        own.multiprocessor = multiprocessor;
        own.role = role;
        own.cycles = cycles() - start;
        own.tiles = tiles;
        own.marks[0] = marks[0], own.marks[1] = marks[1];
        own.sums[0] = sums[0], own.sums[1] = sums[1], own.sums[2] = sums[2];
    }
#else
    __device__ __forceinline__ void begin() {}
    __device__ __forceinline__ void mark(int) {}
    __device__ __forceinline__ void from() {}
    __device__ __forceinline__ void add(int) {}
    __device__ __forceinline__ void tile() {}
    __device__ __forceinline__ void leave(u32, u32) const {}
#endif
};
