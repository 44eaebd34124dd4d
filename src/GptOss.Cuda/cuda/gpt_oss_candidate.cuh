// The likeliest token of several.
#pragma once
#include "ptx/ptx.cuh"

/// A token and its logit. Logits that are no numbers are infinite and of the token −1.
struct Candidate
{
    float logit;
    int id;
};

__device__ __forceinline__ Candidate better(const Candidate& a, const Candidate& b)
{
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id) ? a : b;
}

constexpr int kNoToken = 0x7fffffff;
