#include "types.cuh"

extern "C" __global__ void broken(u32* output)
{
    output[0] = undeclared;
}
