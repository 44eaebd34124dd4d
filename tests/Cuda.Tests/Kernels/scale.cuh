#pragma once
#include "types.cuh"

struct ScaleParameters
{
    const float* input;
    float* output;
    float factor;
    u32 count;
};
