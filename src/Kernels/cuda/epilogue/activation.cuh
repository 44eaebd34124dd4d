// The activation of a gated layer, the one formula for every kernel.
#pragma once
#include "ptx/types.cuh"

/// act = (min(max(up, −limit), limit) + up_bias) · gate · sigmoid(alpha · gate), gate = min(gate, limit).
struct Activation
{
    float alpha, limit, up_bias;

    __device__ __forceinline__ float operator()(float gate, float up) const
    {
        gate = fminf(gate, limit);
        up = fminf(fmaxf(up, -limit), limit);
        return (up + up_bias) * gate * __fdividef(1.0f, 1.0f + __expf(-alpha * gate));
    }
};
