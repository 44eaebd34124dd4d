// What the kernels take that bring rows into the order of the sorted pairs.
#pragma once
#include "ptx/ptx.cuh"

struct GatherParameters
{
    const u16* x;             // BF16 [tokens, x_stride], rows 16-byte aligned
    u16* out;                 // BF16 [sorted pairs, columns]
    const int* sorted_pairs;  // [pairs], a pair is token · top_k + k
    const int* expert_offsets;
    i64 x_stride;             // elements
    int columns;              // a multiple of 8
    int top_k;
    int experts;
    int pairs;                // tokens · top_k: as many as there are at most; how many there are is told by the offsets
};
