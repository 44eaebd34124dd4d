// Barriers in shared memory and the copy engine (PTX ISA 9.7.13.15, 9.7.9.25 and 9.7.9.27) on the host. What the copy
// engine is asked for is done some time later, in any order.
#pragma once
#include "host_ptx.cuh"
#include <array>

// ---- barriers

struct Arrivals
{
    int expected, pending;
    i64 bytes;
    u32 phase;
};

inline Arrivals arrivals[sizeof(shared_memory) / 8];

/// Ends a barrier's phase where nothing is left to wait for.
inline void settle(Arrivals& one)
{
    if (one.pending == 0 && one.bytes == 0)
    {
        one.pending = one.expected;
        one.phase++;
    }

    progress++;
}

inline void mbarrier_init(u32 barrier, int count)
{
    arrivals[barrier / 8] = {count, count, 0, 0};
}

inline void mbarrier_fence_init() {}

inline void mbarrier_arrive(u32 barrier)
{
    arrivals[barrier / 8].pending--;
    settle(arrivals[barrier / 8]);
}

inline void mbarrier_arrive_expect(u32 barrier, u32 bytes)
{
    arrivals[barrier / 8].bytes += bytes;
    mbarrier_arrive(barrier);
}

inline void mbarrier_wait(u32 barrier, u32 parity)
{
    while ((arrivals[barrier / 8].phase & 1) == parity)
    {
        yield();
    }
}

// ---- copies

/// What cuTensorMapEncodeTiled is told; sizes and box in elements, innermost first, strides in bytes from the second dimension on.
struct TensorMap
{
    char* address;
    i64 sizes[4], strides[3];
    int box[4];
    int rank, element, is_swizzled;
};

inline void tma_prefetch_map(const TensorMap*) {}

inline u32 swizzled_128b(u32 address)
{
    return address ^ (address >> 7 & 7) << 4;
}

inline void copy_box(u32 shared, const TensorMap* map, u32 barrier, const std::array<int, 4>& at)
{
    int boxes[4] = {1, 1, 1, 1};
    for (int d = 0; d < map->rank; d++)
    {
        boxes[d] = map->box[d];
    }

    u32 to = shared;
    for (int w = 0; w < boxes[3]; w++)
    {
        for (int z = 0; z < boxes[2]; z++)
        {
            for (int y = 0; y < boxes[1]; y++)
            {
                for (int x = 0; x < boxes[0]; x++, to += map->element)
                {
                    const i64 place[4] = {at[0] + x, at[1] + y, at[2] + z, at[3] + w};
                    const char* from = map->address + place[0] * map->element;
                    bool is_inside = true;
                    for (int d = 0; d < map->rank; d++)
                    {
                        is_inside &= place[d] >= 0 && place[d] < map->sizes[d];
                        from += d > 0 ? place[d] * map->strides[d - 1] : 0;
                    }

                    char* target = shared_memory + (map->is_swizzled ? swizzled_128b(to) : to);
                    is_inside ? (void)std::memcpy(target, from, map->element) : (void)std::memset(target, 0, map->element);
                }
            }
        }
    }

    arrivals[barrier / 8].bytes -= to - shared;
    settle(arrivals[barrier / 8]);
}

inline void tma_load(u32 shared, const TensorMap* map, u32 barrier, const std::array<int, 4>& at)
{
    block->copies.push_back([=, copy = *map] { copy_box(shared, &copy, barrier, at); });
}

inline void tma_load_2d(u32 shared, const TensorMap* map, u32 barrier, int c0, int c1)
{
    tma_load(shared, map, barrier, {c0, c1, 0, 0});
}

inline void tma_load_4d(u32 shared, const TensorMap* map, u32 barrier, int c0, int c1, int c2, int c3)
{
    tma_load(shared, map, barrier, {c0, c1, c2, c3});
}

inline void copy_async(u32 shared, const void* global, int bytes)
{
    std::memset(shared_memory + shared, 0, 16);
    std::memcpy(shared_memory + shared, global, bytes);
}

inline void copy_async_commit() {}

template <int>
inline void copy_async_wait() {}

inline uint4 load_shared(u32 address) { return *(const uint4*)(shared_memory + address); }
inline u32 load_shared_word(u32 address) { return *(const u32*)(shared_memory + address); }
