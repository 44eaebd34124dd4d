// Stands in for the kernels' instructions where a host compiler takes them: each thread of a block is a context of one thread of the host, which
// goes on where another waits, in an order that is random and always the same. What a warp does together they do through memory, in lockstep.
// What no test runs is declared alone.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <vector>
#include <setjmp.h>
#include <ucontext.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long i64;

#define __device__
#define __global__
#define __forceinline__ inline
#define __grid_constant__
#define __shared__ static
#define __launch_bounds__(...)
#define __align__(n)

struct uint2 { u32 x, y; };
struct int2 { int x, y; };
struct uint4 { u32 x, y, z, w; };
struct int4 { int x, y, z, w; };
struct float2 { float x, y; };
struct float4 { float x, y, z, w; };
struct dim { int x, y, z; };

inline int2 make_int2(int x, int y) { return {x, y}; }
inline uint2 make_uint2(u32 x, u32 y) { return {x, y}; }
inline uint4 make_uint4(u32 x, u32 y, u32 z, u32 w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline u32 __float_as_uint(float v) { u32 bits; std::memcpy(&bits, &v, 4); return bits; }
inline float __int_as_float(int bits) { float v; std::memcpy(&v, &bits, 4); return v; }
inline float __uint_as_float(u32 bits) { float v; std::memcpy(&v, &bits, 4); return v; }
inline float min_or_nan(float a, float b) { return std::isnan(a) ? a : std::isnan(b) || b < a ? b : a; }
inline float max_or_nan(float a, float b) { return std::isnan(a) ? a : std::isnan(b) || b > a ? b : a; }
inline float exp2_or_zero(float v) { return std::exp2(v); }
inline float __fdividef(float a, float b) { return a / b; }
inline u32 pinned(u32 v) { return v; }
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a < b ? b : a; }
inline u32 max(u32 a, u32 b) { return a < b ? b : a; }
inline u32 __funnelshift_l(u32 low, u32 high, int by) { return (u32)(((u64)high << 32 | low) << by >> 32); }
inline u32 __funnelshift_r(u32 low, u32 high, int by) { return (u32)(((u64)high << 32 | low) >> by); }

template <typename T>
inline T ceil_div(T a, T b)
{
    return (a + b - 1) / b;
}

inline u32 __byte_perm(u32 low, u32 high, u32 selector)
{
    const u64 bytes = low | (u64)high << 32;
    u32 result = 0;
    for (int i = 0; i < 4; i++)
    {
        result |= (u32)(bytes >> (selector >> 4 * i & 7) * 8 & 0xff) << 8 * i;
    }

    return result;
}

inline u32 permute_bytes(u32 low, u32 high, u32 selectors) { return __byte_perm(low, high, selectors); }

// ---- a thread block

inline dim threadIdx, blockIdx, blockDim;
inline dim gridDim = {1, 1, 1};

/// Shared addresses are offsets from here.
inline char shared_memory[232448];

/// The dynamic shared memory of a launch; all there is where a test does not say.
inline u32 shared_bytes = sizeof(shared_memory);

/// How often a kernel has reached beyond it, which a device answers with an error. HostLibrary refuses a kernel that does.
inline int outside_accesses;

/// What is at a shared address: elsewhere and NaN where the launch does not have all of it.
inline char* shared_at(u32 address, u32 bytes)
{
    if (address <= shared_bytes && bytes <= shared_bytes - address)
    {
        return shared_memory + address;
    }

    static char nowhere[sizeof(shared_memory)];
    if (outside_accesses++ == 0)
    {
        std::fprintf(stderr, "%u bytes at %u are beyond the %u of shared memory\n", bytes, address, shared_bytes);
    }

    return (char*)std::memset(nowhere, 0xff, min((int)bytes, (int)sizeof(nowhere)));
}

/// Shows whether anything has happened since the threads were last asked.
inline u64 progress;

struct Meeting
{
    int expected, arrived = 0;
    u32 count = 0;

    explicit Meeting(int threads) : expected(threads) {}
    void arrive_and_wait();
};

struct Warp
{
    Meeting barrier{32};
    u32 words[32];
    u32 operands[32][6];
    u16* rows[32];
};

struct Fiber
{
    ucontext_t context;  // where it begins
    jmp_buf place;       // where it goes on
    bool has_begun = false;
    std::unique_ptr<char[]> stack;
    bool is_done = false;
    std::vector<std::function<void()>> copies;  // asked for by this thread, until it waits for them
    std::vector<std::function<void()>> open;  // of a group that is not committed
    std::deque<std::vector<std::function<void()>>> groups;  // under way
    int waits_for = -1;  // a barrier's address in shared memory; −1: others of its warp, group or block
    const Meeting* meeting = nullptr;  // where it waits for those
    u32 meetings = 0;                  // that had been there when it came
};

struct Block
{
    explicit Block(int threads) : all(threads), warps(threads / 32), named(16, Meeting(128)), fibers(threads) {}

    Meeting all;
    std::vector<Warp> warps;
    std::vector<Meeting> named;
    std::vector<Fiber> fibers;
    std::function<void()> body;
    std::vector<std::function<void()>> copies;  // under way
    jmp_buf scheduler;
};

inline Block* block;

/// Lets others go on. Jumps rather than swapcontext, which asks the system for the mask of signals each time.
inline void yield()
{
    if (_setjmp(block->fibers[threadIdx.x].place) == 0)
    {
        _longjmp(block->scheduler, 1);
    }
}

/// Lets a thread go on until it yields.
inline void go_on(int thread)
{
    threadIdx.x = thread;
    if (_setjmp(block->scheduler) != 0)
    {
        return;
    }

    Fiber& fiber = block->fibers[thread];
    if (fiber.has_begun)
    {
        _longjmp(fiber.place, 1);
    }

    fiber.has_begun = true;
    setcontext(&fiber.context);
}

inline void Meeting::arrive_and_wait()
{
    const u32 own = count;
    if (++arrived == expected)
    {
        arrived = 0;
        count++;
        progress++;
    }

    Fiber& fiber = block->fibers[threadIdx.x];
    fiber.meetings = own;
    for (fiber.meeting = this; count == own;)
    {
        yield();
    }

    fiber.meeting = nullptr;
}

inline void run_fiber()
{
    block->body();
    block->fibers[threadIdx.x].is_done = true;
    progress++;
    yield();
}

/// Runs a function on each thread of a block. Shared memory begins as bytes that are NaN in any format.
/// Where all wait for ever, says so and leaves them.
template <typename TBody>
void run_block(int threads, const TBody& body)
{
    constexpr int kStackBytes = 1 << 17;
    std::memset(shared_memory, 0xff, sizeof(shared_memory));
    Block here(threads);
    block = &here;
    blockDim = {threads, 1};
    here.body = body;
    std::vector<int> order(threads);
    for (int i = 0; i < threads; i++)
    {
        order[i] = i;
        Fiber& fiber = here.fibers[i];
        getcontext(&fiber.context);
        fiber.stack.reset(new char[kStackBytes]);
        fiber.context.uc_stack.ss_sp = fiber.stack.get();
        fiber.context.uc_stack.ss_size = kStackBytes;
        makecontext(&fiber.context, run_fiber, 0);
    }

    // Some warps are several times as slow as others.
    std::minstd_rand random(threads + blockIdx.x);
    std::vector<u32> pace(threads / 32);
    for (u32& one : pace)
    {
        one = 1 + random() % 8;
    }

    for (int idle = 0, running = threads; running > 0 && idle < 4;)
    {
        const u64 before = progress;
        for (size_t i = 0; i < here.copies.size(); i++)
        {
            if (random() % 2 == 0 || idle > 0)
            {
                here.copies[i]();
                here.copies.erase(here.copies.begin() + i--);
            }
        }

        std::shuffle(order.begin(), order.end(), random);
        running = 0;
        for (int i : order)
        {
            // Whoever would find that the others have not come yet is left to wait.
            Fiber& fiber = here.fibers[i];
            const bool can_go_on = !fiber.is_done && (fiber.meeting == nullptr || fiber.meeting->count != fiber.meetings);
            if (can_go_on && (idle > 0 || random() % 8 < pace[i / 32]))
            {
                go_on(i);
            }

            running += !fiber.is_done;
        }

        idle = progress == before ? idle + 1 : 0;
        if (idle == 4)
        {
            for (int i = 0; i < threads; i++)
            {
                if (!here.fibers[i].is_done && (i == 0 || here.fibers[i].waits_for != here.fibers[i - 1].waits_for))
                {
                    std::fprintf(stderr, "of %d threads of a block %d wait for ever, thread %d for %d\n", threads, running, i, here.fibers[i].waits_for);
                }
            }
        }
    }
}

inline void named_barrier(int id, int threads)
{
    block->named[id].expected = threads;
    block->named[id].arrive_and_wait();
}

inline void __syncthreads()
{
    block->all.arrive_and_wait();
}

inline void __syncwarp()
{
    block->warps[threadIdx.x / 32].barrier.arrive_and_wait();
}

/// What the lane `from` has for v.
inline u32 of_lane(u32 v, int from)
{
    Warp& warp = block->warps[threadIdx.x / 32];
    warp.words[threadIdx.x % 32] = v;
    warp.barrier.arrive_and_wait();
    const u32 other = warp.words[from];
    warp.barrier.arrive_and_wait();
    return other;
}

inline u32 __shfl_sync(u32, u32 v, int lane) { return of_lane(v, lane); }
inline int __shfl_sync(u32, int v, int lane) { return (int)of_lane((u32)v, lane); }
inline float __shfl_sync(u32, float v, int lane) { return __uint_as_float(of_lane(__float_as_uint(v), lane)); }
inline u32 __shfl_xor_sync(u32, u32 v, int mask) { return of_lane(v, threadIdx.x % 32 ^ mask); }
inline float __shfl_xor_sync(u32, float v, int mask) { return __uint_as_float(of_lane(__float_as_uint(v), threadIdx.x % 32 ^ mask)); }
inline int __shfl_xor_sync(u32, int v, int mask) { return (int)of_lane((u32)v, threadIdx.x % 32 ^ mask); }
inline u32 __shfl_up_sync(u32, u32 v, int by) { return of_lane(v, max(threadIdx.x % 32 - by, 0)); }
inline int __shfl_up_sync(u32 mask, int v, int by) { return (int)__shfl_up_sync(mask, (u32)v, by); }
inline float __shfl_up_sync(u32 mask, float v, int by) { return __uint_as_float(__shfl_up_sync(mask, __float_as_uint(v), by)); }

inline u32 __reduce_max_sync(u32 mask, u32 v)
{
    for (int i = 1; i < 32; i *= 2)
    {
        v = max(v, __shfl_xor_sync(mask, v, i));
    }

    return v;
}

inline int __reduce_min_sync(u32 mask, int v)
{
    for (int i = 1; i < 32; i *= 2)
    {
        v = min(v, (int)__shfl_xor_sync(mask, (u32)v, i));
    }

    return v;
}

inline u32 __reduce_add_sync(u32 mask, u32 v)
{
    for (int i = 1; i < 32; i *= 2)
    {
        v += __shfl_xor_sync(mask, v, i);
    }

    return v;
}

inline u32 __ballot_sync(u32 mask, bool v) { return __reduce_add_sync(mask, (u32)v << threadIdx.x % 32); }
inline int __popc(u32 v) { return __builtin_popcount(v); }
inline int __clz(int v) { return v == 0 ? 32 : __builtin_clz(v); }
inline int __ffs(int v) { return __builtin_ffs(v); }

inline u32 __match_any_sync(u32 mask, int v)
{
    u32 same = 0;
    for (int i = 0; i < 32; i++)
    {
        same |= (u32)((int)of_lane(v, i) == v) << i;
    }

    return same;
}

inline void wait_for_previous_launch() {}
inline void allow_next_launch() {}
inline int load_coherent(const int* p) { return *p; }
inline float load_coherent(const float* p) { return *p; }
inline uint4 load_readonly(const void* p) { uint4 v; std::memcpy(&v, p, 16); return v; }
inline void prefetch_l2(const void*) {}
inline u32 load_relaxed_if(bool exists, const u32* p) { return exists ? *(const volatile u32*)p : 0; }
inline void store_relaxed(u32* p, u32 v) { *p = v; }

inline int4 load_coherent(const int4* p) { return *p; }

inline u32 shared_address(const void* p)
{
    return (u32)((const char*)p - shared_memory);
}

// ---- BF16

inline u32 to_bf16(float v)
{
    const u32 bits = __float_as_uint(v);
    return std::isnan(v) ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

inline float from_bf16(u32 bits)
{
    return __uint_as_float(bits << 16);
}

inline u32 pack_bf16(float low, float high)
{
    return to_bf16(low) | to_bf16(high) << 16;
}

inline u16 float_to_bf16(float v)
{
    return (u16)to_bf16(v);
}

template <typename TOperation>
inline u32 of_both(u32 a, u32 b, const TOperation& operation)
{
    return operation(a & 0xffff, b & 0xffff) | operation(a >> 16, b >> 16) << 16;
}

inline u32 multiply_bf16x2(u32 a, u32 b)
{
    return of_both(a, b, [](u32 x, u32 y) { return to_bf16(from_bf16(x) * from_bf16(y)); });
}

template <int kHalf>
inline u32 half_twice(u32 word)
{
    return (word >> 16 * kHalf & 0xffff) * 0x10001;
}

/// PTX ISA, max.bf16x2: of a number and NaN the number.
inline u32 max_bf16x2(u32 a, u32 b)
{
    return of_both(a, b, [](u32 x, u32 y) {
        const bool is_x = std::isnan(from_bf16(y)) || from_bf16(x) > from_bf16(y);
        return std::isnan(from_bf16(x)) && std::isnan(from_bf16(y)) ? 0x7fffu : is_x ? x : y;
    });
}

inline u32 min_bf16x2(u32 a, u32 b)
{
    return of_both(a, b, [](u32 x, u32 y) {
        const bool is_x = std::isnan(from_bf16(y)) || from_bf16(x) < from_bf16(y);
        return std::isnan(from_bf16(x)) && std::isnan(from_bf16(y)) ? 0x7fffu : is_x ? x : y;
    });
}

/// A block runs alone.
inline int atomicAdd(int* to, int v)
{
    *to += v;
    return *to - v;
}

inline u32 atomicOr(u32* to, u32 bits)
{
    const u32 before = *to;
    *to |= bits;
    return before;
}

inline float add_relaxed(float* to, float v) { const float before = *to; *to += v; return before; }
inline int add_release(int* to, int v) { return atomicAdd(to, v); }

/// What another launch counts stands still here: it is enough from the beginning, or never.
inline int load_acquire(const int* p)
{
    yield();
    return *p;
}

inline void fence_async_proxy_global() {}

inline void __threadfence() {}

#include "host_copies.cuh"
#include "host_matrix.cuh"
#include "host_products.cuh"
#include "host_words.cuh"
