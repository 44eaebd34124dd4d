// The router (split_router.cuh) for any program: a unit of its own, as it takes two to three times as long to compile as router.cu.
#include "impls/split_router.cuh"
#include "routing/router_program.cuh"

struct ProgramRouterParameters
{
    SplitRouterParameters split;
    RouterProgram program;
};

extern "C" __global__ void __launch_bounds__(256, 2) moe_router_program_8(const __grid_constant__ ProgramRouterParameters q)
{
    route<1, 4>(q.split, ProgramChoice{q.program});
}

extern "C" __global__ void __launch_bounds__(256, 2) moe_router_program_32(const __grid_constant__ ProgramRouterParameters q)
{
    route<4, 2>(q.split, ProgramChoice{q.program});
}
