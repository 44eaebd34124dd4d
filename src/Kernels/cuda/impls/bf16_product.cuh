// What the kernels of BF16 products are told that sort pairs by expert and take no tensor maps: bf16_decode.cu and bf16_prefill_mma.cu.
#pragma once
#include "epilogue/activation.cuh"

struct Bf16ProductParameters
{
    const u16* x;                // first product: BF16 [tokens, x_stride]; second: BF16 [sorted pairs, x_stride]; rows 16-byte aligned
    const u16* weight;           // BF16 [experts, rows, depth]
    const float* bias;           // first product: [experts, rows], or null; second: not read
    const float* factor;         // [experts, rows]: of the sums, before the bias; null where all are 1
    void* out;                   // first: BF16 [sorted pairs, out_stride]; second, without bias and router weight: few tokens float32 [splits, pairs,
                                 // out_stride], many BF16 [pairs, out_stride]
    const int* sorted_pairs;     // a pair is token · top_k + k
    const int4* row_blocks;      // made with as many rows as a tile has tokens, or less
    const int* row_block_count;
    i64 x_stride;                // elements
    i64 out_stride;              // elements, even
    i64 split_stride;            // elements between splits, even; read for few tokens only
    int rows;                    // first: 2 · intermediate (gate, up interleaved), or intermediate without gates; second: hidden; even
    int depth;                   // inner dimension, a multiple of 8
    int top_k;
    int splits;                  // parts of the inner dimension, in the second product for few tokens; 1 for the first; else not read
    Activation activation;
};
