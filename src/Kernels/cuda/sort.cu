// Sorting by expert as a launch of its own: for many tokens, and for routing that the caller hands in. One block of 1024 threads;
// dynamic shared memory of (32 × experts + 64) × 4 bytes.
#include "sort.cuh"

struct SortParameters
{
    const int* ids;  // [pairs]
    SortTarget target;
    int pairs;
    int experts;
};

extern "C" __global__ void __launch_bounds__(1024) moe_sort(const __grid_constant__ SortParameters p)
{
    extern __shared__ int counts[];
    wait_for_previous_launch();
    allow_next_launch();
    sort_pairs<1024>(p.ids, p.pairs, p.experts, p.target, counts);
}
