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

inline bool mbarrier_is_over(u32 barrier, u32 parity)
{
    return (arrivals[barrier / 8].phase & 1) != parity;
}

inline void mbarrier_wait(u32 barrier, u32 parity)
{
    int& waits_for = block->fibers[threadIdx.x].waits_for;
    for (waits_for = barrier; (arrivals[barrier / 8].phase & 1) == parity;)
    {
        yield();
    }

    waits_for = -1;
}

// ---- copies

/// What cuTensorMapEncodeTiled is told; sizes and box in elements, innermost first, strides in bytes from the second dimension on.
struct TensorMap
{
    char* address;
    i64 sizes[5], strides[4];
    int box[5];
    int rank, element, is_swizzled;
};

typedef std::array<int, 5> Coordinates;

inline void tma_prefetch_map(const TensorMap*) {}

inline u32 swizzled_128b(u32 address)
{
    return address ^ (address >> 7 & 7) << 4;
}

inline void copy_box(u32 shared, const TensorMap& map, u32 barrier, const Coordinates& first)
{
    u32 to = shared;
    Coordinates within = {};
    while (within[map.rank - 1] < map.box[map.rank - 1])
    {
        const char* from = map.address;
        bool is_inside = true;
        for (int d = 0; d < map.rank; d++)
        {
            const i64 place = (i64)first[d] + within[d];
            is_inside &= place >= 0 && place < map.sizes[d];
            from += place * (d == 0 ? map.element : map.strides[d - 1]);
        }

        char* target = shared_at(map.is_swizzled ? swizzled_128b(to) : to, map.element);
        is_inside ? (void)std::memcpy(target, from, map.element) : (void)std::memset(target, 0, map.element);
        to += map.element;
        for (int d = 0; ++within[d] == map.box[d] && d + 1 < map.rank; d++)
        {
            within[d] = 0;
        }
    }

    arrivals[barrier / 8].bytes -= to - shared;
    settle(arrivals[barrier / 8]);
}

inline void tma_load(u32 shared, const TensorMap* map, u32 barrier, const Coordinates& at)
{
    block->copies.push_back([=, copy = *map] { copy_box(shared, copy, barrier, at); });
}

inline void tma_load_2d(u32 shared, const TensorMap* map, u32 barrier, int c0, int c1)
{
    tma_load(shared, map, barrier, {c0, c1});
}

inline void tma_load_3d(u32 shared, const TensorMap* map, u32 barrier, int c0, int c1, int c2)
{
    tma_load(shared, map, barrier, {c0, c1, c2});
}

inline void tma_load_4d(u32 shared, const TensorMap* map, u32 barrier, int c0, int c1, int c2, int c3)
{
    tma_load(shared, map, barrier, {c0, c1, c2, c3});
}

inline void tma_load_5d(u32 shared, const TensorMap* map, u32 barrier, int c0, int c1, int c2, int c3, int c4)
{
    tma_load(shared, map, barrier, {c0, c1, c2, c3, c4});
}

inline void bulk_load(u32 shared, const void* global, u32 bytes, u32 barrier)
{
    block->copies.push_back([=] {
        std::memcpy(shared_at(shared, bytes), global, bytes);
        arrivals[barrier / 8].bytes -= bytes;
        settle(arrivals[barrier / 8]);
    });
}

inline void copy_async(u32 shared, const void* global, int bytes)
{
    char* to = shared_at(shared, 16);
    std::memset(to, 0, 16);
    std::memcpy(to, global, bytes);
}

inline void copy_async_word(u32 shared, const void* global)
{
    block->fibers[threadIdx.x].copies.push_back([=] { std::memcpy(shared_at(shared, 4), global, 4); });
}

inline void copy_async_wait_all()
{
    for (const auto& copy : block->fibers[threadIdx.x].copies)
    {
        copy();
    }

    block->fibers[threadIdx.x].copies.clear();
}

inline u64 policy_evict_first() { return 0; }

inline void tma_load_4d(u32 shared, const TensorMap* map, u32 barrier, int c0, int c1, int c2, int c3, u64)
{
    tma_load_4d(shared, map, barrier, c0, c1, c2, c3);
}

inline void bulk_load(u32 shared, const void* global, u32 bytes, u32 barrier, u64) { bulk_load(shared, global, bytes, barrier); }

/// With a policy: done when this thread waits for its group, and not before.
inline void copy_async(u32 shared, const void* global, int bytes, u64)
{
    block->fibers[threadIdx.x].open.push_back([=] { copy_async(shared, global, bytes); });
}

inline void copy_async_commit()
{
    Fiber& fiber = block->fibers[threadIdx.x];
    fiber.groups.push_back(std::move(fiber.open));
    fiber.open.clear();
}

template <int kPending>
inline void copy_async_wait()
{
    std::deque<std::vector<std::function<void()>>>& groups = block->fibers[threadIdx.x].groups;
    for (; groups.size() > kPending; groups.pop_front())
    {
        for (const auto& copy : groups.front())
        {
            copy();
        }
    }
}

inline uint4 load_shared(u32 address) { return *(const uint4*)shared_at(address, 16); }
inline u32 load_shared_word(u32 address) { return *(const u32*)shared_at(address, 4); }
inline void store_shared(u32 address, const uint4& v) { *(uint4*)shared_at(address, 16) = v; }
