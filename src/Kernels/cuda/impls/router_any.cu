// The router (split_router.cuh) for any program: a unit of its own, as it takes two to three times as long to compile as router.cu.
#include "impls/split_router.cuh"
#include "routing/router_program.cuh"

struct ProgramRouterParameters
{
    SplitRouterParameters split;
    RouterProgram program;
};

#if __CUDA_ARCH__ > 800 && __CUDA_ARCH__ < 900
constexpr int kBlocksOfFew = 1;  // in the registers of two the compiler spills there
#else
constexpr int kBlocksOfFew = 2;
#endif

extern "C" __global__ void __launch_bounds__(256, kBlocksOfFew) moe_router_program_8(const __grid_constant__ ProgramRouterParameters q)
{
    route<1, 4>(q.split, ProgramChoice{q.program});
}

extern "C" __global__ void __launch_bounds__(256, 2) moe_router_program_32(const __grid_constant__ ProgramRouterParameters q)
{
    route<4, 2>(q.split, ProgramChoice{q.program});
}
