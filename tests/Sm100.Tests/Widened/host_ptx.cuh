// Stands in for the kernels' ptx.cuh where a host compiler takes them: a thread block is as many threads of the host, and what a warp does
// together they do through memory, in lockstep. Only what the results' way out of the accumulators needs is here; the rest is declared.
#pragma once
#include <barrier>
#include <cmath>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

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

struct uint2 { u32 x, y; };
struct uint4 { u32 x, y, z, w; };
struct int4 { int x, y, z, w; };
struct float2 { float x, y; };
struct float4 { float x, y, z, w; };
struct dim { int x; };

inline uint2 make_uint2(u32 x, u32 y) { return {x, y}; }
inline uint4 make_uint4(u32 x, u32 y, u32 z, u32 w) { return {x, y, z, w}; }
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline u32 __float_as_uint(float v) { u32 bits; std::memcpy(&bits, &v, 4); return bits; }
inline float __uint_as_float(u32 bits) { float v; std::memcpy(&v, &bits, 4); return v; }
inline float __expf(float v) { return std::exp(v); }
inline float __fdividef(float a, float b) { return a / b; }
inline int min(int a, int b) { return a < b ? a : b; }

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

// ---- a thread block

inline thread_local dim threadIdx, blockIdx;
inline dim gridDim = {1};

struct Warp
{
    std::barrier<> barrier{32};
    u32 words[32];
    u16* rows[32];
};

struct Block
{
    std::vector<std::unique_ptr<Warp>> warps;
    std::vector<std::unique_ptr<std::barrier<>>> named;
};

inline Block* block;

/// Runs a function on each thread of a block, whose named barriers are of 128 threads.
template <typename TBody>
void run_block(int threads, const TBody& body)
{
    Block here;
    for (int i = 0; i < threads / 32; i++)
    {
        here.warps.push_back(std::make_unique<Warp>());
    }

    for (int i = 0; i < 16; i++)
    {
        here.named.push_back(std::make_unique<std::barrier<>>(128));
    }

    block = &here;
    std::vector<std::thread> running;
    for (int i = 0; i < threads; i++)
    {
        running.emplace_back([&body, i] {
            threadIdx.x = i;
            body();
        });
    }

    for (std::thread& thread : running)
    {
        thread.join();
    }
}

inline void named_barrier(int id, int)
{
    block->named[id]->arrive_and_wait();
}

inline u32 __shfl_xor_sync(u32, u32 v, int mask)
{
    Warp& warp = *block->warps[threadIdx.x / 32];
    warp.words[threadIdx.x % 32] = v;
    warp.barrier.arrive_and_wait();
    const u32 other = warp.words[threadIdx.x % 32 ^ mask];
    warp.barrier.arrive_and_wait();
    return other;
}

inline void wait_for_previous_launch() {}
inline void allow_next_launch() {}
inline int load_coherent(const int* p) { return *p; }

/// Shared addresses are offsets from here.
inline char shared_memory[1 << 16];

inline u32 shared_address(const void* p)
{
    return (u32)((const char*)p - shared_memory);
}

/// PTX ISA, stmatrix: lanes 8m … 8m + 7 give the rows of matrix m; lane l has (l / 4, 2 (l % 4)) and the one after it, transposed here.
inline void store_matrix_transposed_x4(u32 shared, u32 a, u32 b, u32 c, u32 d)
{
    Warp& warp = *block->warps[threadIdx.x / 32];
    const int lane = threadIdx.x % 32;
    warp.rows[lane] = (u16*)(shared_memory + shared);
    warp.barrier.arrive_and_wait();
    const u32 words[4] = {a, b, c, d};
    for (int m = 0; m < 4; m++)
    {
        warp.rows[8 * m + lane % 4 * 2][lane / 4] = (u16)words[m];
        warp.rows[8 * m + lane % 4 * 2 + 1][lane / 4] = (u16)(words[m] >> 16);
    }

    warp.barrier.arrive_and_wait();
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

// ---- what other parts of the sources call, and no test runs

struct TensorMap
{
    char bytes[128];
};

u32 __funnelshift_r(u32, u32, u32);
u32 __shfl_up_sync(u32, u32, int);
void __syncthreads();
void __syncwarp();
void __threadfence();
int atomicAdd(int*, int);
int4 load_coherent(const int4*);
int load_acquire(const int*);
int add_release(int*, int);
u32 load_shared_word(u32);
uint4 load_shared(u32);
void load_matrix_x4(u32 (&)[4], u32);
void mma_bf16(float (&)[4], u32, u32, u32, u32, u32, u32);
void copy_async(u32, const void*, int);
void copy_async_commit();
template <int>
void copy_async_wait();
void fence_async_proxy_global();
void mbarrier_wait(u32, u32);
void mbarrier_arrive(u32);
void mbarrier_arrive_expect(u32, u32);
void mbarrier_init(u32, int);
void mbarrier_fence_init();
void tma_load_4d(u32, const TensorMap*, u32, int, int, int, int);
void tma_prefetch_map(const TensorMap*);
void bulk_load(u32, const void*, int, u32);
u32 __shfl_sync(u32, u32, int);
