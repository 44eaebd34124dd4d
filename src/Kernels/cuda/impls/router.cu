// The router (split_router.cuh) for the programs that need no constants.
#include "impls/split_router.cuh"

extern "C" __global__ void __launch_bounds__(256, 2) moe_router_8(const __grid_constant__ SplitRouterParameters q)
{
    route<1, 4>(q, PresetChoice());
}

extern "C" __global__ void __launch_bounds__(256, 2) moe_router_32(const __grid_constant__ SplitRouterParameters q)
{
    route<4, 2>(q, PresetChoice());
}
