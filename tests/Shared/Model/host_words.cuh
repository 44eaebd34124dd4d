// Words that several devices read and write meanwhile, where each device's blocks are a process of the host that shares the memory: what
// plugins/Collectives.Cuda has in words.cuh, and what its waits use.
#pragma once
#include "host_ptx.cuh"
#include <ctime>
#include <unistd.h>

#define __noinline__ inline

/// Whoever looks at a word may look at it for long: other threads of the block go on, and other processes now and then.
inline void let_others()
{
    static u32 looks;
    if (++looks % 64 == 0)
    {
        usleep(1);
    }

    progress++;
    yield();
}

inline u32 load_volatile_word(const void* p)
{
    return __atomic_load_n((const u32*)p, __ATOMIC_ACQUIRE);
}

inline uint4 load_volatile(const void* p)
{
    let_others();
    return {load_volatile_word(p), load_volatile_word((const u32*)p + 1), load_volatile_word((const u32*)p + 2), load_volatile_word((const u32*)p + 3)};
}

inline void store_release(void* p, u32 v)
{
    __atomic_store_n((u32*)p, v, __ATOMIC_RELEASE);
}

inline void store_volatile(void* p, const uint4& v)
{
    store_release(p, v.x);
    store_release((u32*)p + 1, v.y);
    store_release((u32*)p + 2, v.z);
    store_release((u32*)p + 3, v.w);
}

inline u32 load_acquire_word(const void* p)
{
    let_others();
    return load_volatile_word(p);
}

inline u64 nanoseconds()
{
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000ull + now.tv_nsec;
}

inline u32 __activemask() { return 1u << threadIdx.x % 32; }
inline u32 atomicExch(u32* to, u32 v) { return __atomic_exchange_n(to, v, __ATOMIC_SEQ_CST); }
inline u32 atomicExch_system(u32* to, u32 v) { return atomicExch(to, v); }
inline u32 atomicAdd(u32* to, u32 v) { return __atomic_fetch_add(to, v, __ATOMIC_SEQ_CST); }

inline u32 atomicCAS(u32* to, u32 expected, u32 v)
{
    __atomic_compare_exchange_n(to, &expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return expected;
}

inline void __threadfence_system() {}
inline float rsqrtf(float v) { return 1 / std::sqrt(v); }

inline bool __syncthreads_or(bool v)
{
    static bool any;
    __syncthreads();
    any = false;
    __syncthreads();
    any |= v;
    __syncthreads();
    return any;
}
