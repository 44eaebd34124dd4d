// What a launch of the stream of weights is told (mxfp4_stream.cuh).
#pragma once
#include "epilogue/activation.cuh"
#include "ptx/tma.cuh"
#include "scheduler/product_counters.cuh"

/// One of the two products.
struct StreamProduct
{
    const char* weights;  // mxfp4.cuh
    const float* bias;    // [experts, rows], or null
    const float* factor;  // [experts, rows], or null where all are 1
    u16* out;             // first: BF16 [sorted pairs, out_stride]; second: BF16 [pairs, out_stride], without router weight
    i64 out_stride;       // elements, a multiple of 8
    int rows;             // first: 2 · intermediate, or intermediate without gates; second: hidden; a multiple of 16
    int depth;            // inner dimension: hidden a multiple of 64, intermediate one of 32
};

struct Mxfp4StreamParameters
{
    static constexpr bool kHasShared = false, kSharedIsE4M3 = false;
    TensorMap tokens;           // BF16 {64, tokens, depth / 64} of the first product, box {64, columns, kStageSteps}, 128-byte swizzle
    TensorMap act;              // the first product's results, likewise; 0 beyond the intermediate size, to whole steps of 64
    StreamProduct first, second;
    const u32* early_offsets;   // [experts + 1]: of SortTarget, which the launch before may still be writing
    const int* sorted_pairs;    // [pairs], a pair is token · top_k + k
    ProductCounters counters;   // 0 before
    float* ticket;              // tiles drawn; 0 before the first launch; each launch leaves 0
    int experts;                // at most StreamList::kMostExperts
    u32 token_factor;           // a pair's token is pair · token_factor >> 16
    int columns;                // tokens, 1 to 8
    Activation activation;
    int halved;                 // so many of the list's last experts have tiles of half the depth in the second product; 0 for more than one token
    int pairs;                  // second halves' results stand so many rows behind
};

/// One matrix of shared experts, [rows, depth].
struct SharedStreamProduct
{
    TensorMap weights;    // {depth, 8, 2, rows / 16}, box {128 bytes, 8, 2, 4}, 128-byte swizzle; first: the gates of 8 neurons, then their ups
    TensorMap scales;     // of E4M3: {depth / 16, rows / 16} (e4m3.cuh), box {16, 4}
    TensorMap tokens;     // BF16 {64, tokens, depth / 64}, box {64, columns, steps of a stage}, 128-byte swizzle
    const float* factor;  // [rows], or null where all are 1
    void* out;            // first: BF16 [tokens, intermediate]; second: float32 [tokens, rows]
    int rows;             // a multiple of 64
    int depth;            // a multiple of 64
};

/// A stream with shared experts in it: one expert that every token goes to, without biases. kE4M3: their weights are E4M3 codes; else BF16.
template <bool kE4M3>
struct Mxfp4SharedStreamParameters : Mxfp4StreamParameters
{
    static constexpr bool kHasShared = true, kSharedIsE4M3 = kE4M3;
    SharedStreamProduct shared_first, shared_second;
    int* shared_stored;  // SortTarget::early_counter: tiles of the first product that have been stored
    const u16* x;        // BF16 [columns, x_stride]: their tokens
    i64 x_stride;        // elements
    const float* gate;   // [hidden], or null: each token's sum is multiplied by sigmoid(x · gate) later
    float* opened;       // [columns]: that
    Activation shared_activation;
};
