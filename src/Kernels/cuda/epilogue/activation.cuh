// What stands between an expert's two products. Which formula it is is the type of a kernel's argument; its constants come with the launch.
#pragma once
#include "ptx/ptx.cuh"

/// act = (min(max(up, −limit), limit) + up_bias) · gate · sigmoid(alpha · gate), gate = min(gate, limit). Hands NaN on.
struct Activation
{
    static constexpr int kNeuronRows = 2;  // rows of the first product that a neuron has: gate and up

    float alpha, limit, up_bias;
    int kind;  // GatedActivation

    __device__ __forceinline__ float operator()(float gate, float up) const
    {
        gate = min_or_nan(gate, limit);
        return (bounded(up) + up_bias) * gate * sigmoid(alpha * gate);
    }

protected:
    __device__ __forceinline__ float bounded(float v) const { return min_or_nan(max_or_nan(v, -limit), limit); }

    // What the power loses below 2^−126 would be lost beside 1.
    static __device__ __forceinline__ float sigmoid(float v) { return __fdividef(1.0f, 1.0f + exp2_or_zero(v * -1.4426950408889634f)); }
};

/// Every activation with a gate. By kind: 0 the one above; 1 the same, but min(gate · sigmoid(alpha · gate), limit); 2 GELU by tanh for
/// gate · sigmoid(alpha · gate); 3 the same, bounded behind it; 4 alpha · tanh(gate / alpha) · sigmoid(gate) · limit · tanh(up / limit), without the
/// second tanh where limit is infinite. Hands NaN on.
struct GatedActivation : Activation
{
    __device__ __forceinline__ float operator()(float gate, float up) const
    {
        if (kind == 4)
        {
            const float soft = limit == __uint_as_float(0x7f800000u) ? up : limit * tanhf(__fdividef(up, limit));
            return alpha * tanhf(__fdividef(gate, alpha)) * sigmoid(gate) * soft;
        }

        gate = (kind & 1) == 0 ? min_or_nan(gate, limit) : gate;
        // ½ (1 + tanh z) = sigmoid(2 z)
        const float z = kind < 2 ? alpha * gate : 1.5957691216f * (gate + 0.044715f * gate * gate * gate);
        const float value = gate * sigmoid(z);
        return (bounded(up) + up_bias) * ((kind & 1) != 0 ? min_or_nan(value, limit) : value);
    }
};

/// relu(up)², without a gate. Hands NaN on.
struct ReluSquared : Activation
{
    static constexpr int kNeuronRows = 1;

    __device__ __forceinline__ float operator()(float up) const { return up < 0.0f ? 0.0f : up * up; }
};
