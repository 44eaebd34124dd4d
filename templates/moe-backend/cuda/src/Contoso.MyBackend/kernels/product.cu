// Both products of a layer with BF16 weights. A warp computes a neuron, or a row of the second product, for up to eight tokens of one expert: it
// reads each weight once for all of them. This is what you came to make fast.
//
// Blocks of kThreads threads, any number of them.
#include "epilogue/activation.cuh"
#include "ptx/ptx.cuh"

namespace
{
constexpr int kThreads = 256, kBlockTokens = 8;
}

struct ProductParameters
{
    const u16* x;                // first: BF16 [tokens, x_stride]; second: BF16 [sorted pairs, x_stride]
    const u16* weight;           // BF16 [experts, outputs, inputs]; first: a neuron's gate, if it has one, before its up
    const float* bias;           // [experts, outputs], or null
    void* out;                   // first: BF16 [sorted pairs, neurons]; second: float32 [pairs, outputs], without bias and router weight
    const int* sorted_pairs;     // a pair is token · top_k + k
    const int4* row_blocks;      // expert, first sorted pair, count of at most kBlockTokens, 0
    const int* row_block_count;
    i64 x_stride;                // elements, even
    int outputs, inputs;         // inputs: even
    int top_k;
    Activation activation;
};

namespace
{
/// A row of weights times each token's values, the same in every lane.
__device__ __forceinline__ void multiply(const u16* weight, const u16* (&x)[kBlockTokens], int inputs, float (&sums)[kBlockTokens])
{
    for (int i = threadIdx.x % 32; i < inputs / 2; i += 32)
    {
        const u32 w = ((const u32*)weight)[i];
#pragma unroll
        for (int t = 0; t < kBlockTokens; t++)
        {
            const u32 v = ((const u32*)x[t])[i];
            sums[t] += __uint_as_float(w << 16) * __uint_as_float(v << 16);
            sums[t] += __uint_as_float(w & 0xffff0000) * __uint_as_float(v & 0xffff0000);
        }
    }

#pragma unroll
    for (int t = 0; t < kBlockTokens; t++)
    {
        for (int mask = 16; mask > 0; mask /= 2)
        {
            sums[t] += __uint_as_float(__shfl_xor_sync(~0u, __float_as_uint(sums[t]), mask));
        }
    }
}

/// Of the second product TActivation says nothing.
template <bool kFirst, typename TActivation>
__device__ __forceinline__ void product(const ProductParameters& p)
{
    // The launch before this one may still run: what it writes is read after this, and what follows may start.
    wait_for_previous_launch();
    allow_next_launch();
    constexpr int kRows = kFirst ? TActivation::kNeuronRows : 1;
    const int warps = gridDim.x * (kThreads / 32), neurons = p.outputs / kRows;
    for (int at = blockIdx.x * (kThreads / 32) + threadIdx.x / 32; at < *p.row_block_count * neurons; at += warps)
    {
        const int4 block = p.row_blocks[at / neurons];
        const int neuron = at % neurons;
        const u16* x[kBlockTokens];
#pragma unroll
        for (int t = 0; t < kBlockTokens; t++)
        {
            // Where there are fewer tokens, the last one again: what comes out is not written.
            const int sorted = block.y + min(t, block.z - 1);
            x[t] = p.x + (kFirst ? p.sorted_pairs[sorted] / p.top_k : sorted) * p.x_stride;
        }

        float sums[kRows][kBlockTokens] = {};
#pragma unroll
        for (int i = 0; i < kRows; i++)
        {
            const i64 row = (i64)block.x * p.outputs + kRows * neuron + i;
            multiply(p.weight + row * p.inputs, x, p.inputs, sums[i]);
#pragma unroll
            for (int t = 0; t < kBlockTokens; t++)
            {
                sums[i][t] += p.bias ? p.bias[row] : 0;
            }
        }

        // A lane writes a token's value. Not by its index: an array that is indexed so would not stay in registers.
#pragma unroll
        for (int t = 0; t < kBlockTokens; t++)
        {
            if (t == threadIdx.x % 32 && t < block.z)
            {
                const int sorted = block.y + t;
                const TActivation formula = {p.activation};
                if constexpr (!kFirst)
                {
                    ((float*)p.out)[(i64)p.sorted_pairs[sorted] * neurons + neuron] = sums[0][t];
                }
                else if constexpr (kRows == 2)
                {
                    ((u16*)p.out)[(i64)sorted * neurons + neuron] = float_to_bf16(formula(sums[0][t], sums[1][t]));
                }
                else
                {
                    ((u16*)p.out)[(i64)sorted * neurons + neuron] = float_to_bf16(formula(sums[0][t]));
                }
            }
        }
    }
}
}

/// TActivation: one of activation.cuh.
template <typename TActivation>
__global__ void __launch_bounds__(kThreads) product_gate_up(const __grid_constant__ ProductParameters p)
{
    product<true, TActivation>(p);
}

extern "C" __global__ void __launch_bounds__(kThreads) product_down(const __grid_constant__ ProductParameters p)
{
    product<false, Activation>(p);
}
