// Passes over rows of activations: the caller's into dense BF16 rows with 16-byte alignment, which the products can read; those of pairs, weighted;
// the norm of latent experts' sums; and how far the gate of shared experts opens.
#include "ptx/ptx.cuh"

struct RowsParameters
{
    const void* source;  // [rows, source_stride], float32, or BF16 if source_is_bf16
    u16* target;         // [rows, columns]
    i64 source_stride;   // elements
    int columns;
    int source_is_bf16;
};

/// Blocks of 256 threads, one row each: grid (rows).
extern "C" __global__ void __launch_bounds__(256) moe_rows_to_bf16(const __grid_constant__ RowsParameters p)
{
    allow_next_launch();
    wait_for_previous_launch();
    const i64 row = blockIdx.x;
    for (int column = threadIdx.x; column < p.columns; column += 256)
    {
        const i64 from = row * p.source_stride + column;
        p.target[row * p.columns + column] =
            p.source_is_bf16 ? ((const u16*)p.source)[from] : float_to_bf16(((const float*)p.source)[from]);
    }
}

struct WeighRowsParameters
{
    const u16* x;          // BF16 [tokens, x_stride], rows 16-byte aligned
    const float* weights;  // [tokens, top_k]
    u16* target;           // BF16 [tokens · top_k, columns]
    i64 x_stride;          // elements
    int columns;           // a multiple of 8
    int top_k;
};

/// Weight times token for each pair, where weights are on the experts' inputs. Blocks of 256 threads, one pair each: grid (pairs).
extern "C" __global__ void __launch_bounds__(256) moe_weigh_rows(const __grid_constant__ WeighRowsParameters p)
{
    wait_for_previous_launch();
    allow_next_launch();
    const i64 pair = blockIdx.x;
    const float weight = p.weights[pair];
    const uint4* from = (const uint4*)(p.x + pair / p.top_k * p.x_stride);
    uint4* to = (uint4*)(p.target + pair * p.columns);
    for (int piece = threadIdx.x; piece < p.columns / 8; piece += 256)
    {
        const uint4 v = from[piece];
        auto weigh = [&](u32 both) { return pack_bf16(weight * __uint_as_float(both << 16), weight * __uint_as_float(both & 0xffff0000u)); };
        to[piece] = make_uint4(weigh(v.x), weigh(v.y), weigh(v.z), weigh(v.w));
    }
}

namespace
{
/// The sum of what each thread of a block of 256 has.
__device__ __forceinline__ float block_sum(float v)
{
    __shared__ float sums[8];
#pragma unroll
    for (int d = 16; d > 0; d /= 2)
    {
        v += __shfl_xor_sync(~0u, v, d);
    }

    if (threadIdx.x % 32 == 0)
    {
        sums[threadIdx.x / 32] = v;
    }

    __syncthreads();
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < 8; i++)
    {
        sum += sums[i];
    }

    return sum;
}
}

struct NormRowsParameters
{
    const float* source;  // [rows, columns]
    const float* scale;   // [columns]
    u16* target;          // BF16 [rows, columns]
    int columns;
    float epsilon;
};

/// x ÷ √(mean of x² + epsilon) · scale. Blocks of 256 threads, one row each: grid (rows).
extern "C" __global__ void __launch_bounds__(256) moe_norm_rows(const __grid_constant__ NormRowsParameters p)
{
    wait_for_previous_launch();
    allow_next_launch();
    const float* row = p.source + (i64)blockIdx.x * p.columns;
    float squares = 0.0f;
    for (int column = threadIdx.x; column < p.columns; column += 256)
    {
        squares += row[column] * row[column];
    }

    const float factor = 1.0f / sqrtf(block_sum(squares) / p.columns + p.epsilon);
    for (int column = threadIdx.x; column < p.columns; column += 256)
    {
        p.target[(i64)blockIdx.x * p.columns + column] = float_to_bf16(row[column] * factor * p.scale[column]);
    }
}

struct SharedGateParameters
{
    const u16* x;       // BF16 [tokens, x_stride]
    const float* gate;  // [hidden]
    float* opened;      // [tokens]
    i64 x_stride;       // elements
    int hidden;
    int reserved;
};

/// sigmoid(x · gate). Blocks of 256 threads, one token each: grid (tokens).
extern "C" __global__ void __launch_bounds__(256) moe_shared_gate(const __grid_constant__ SharedGateParameters p)
{
    wait_for_previous_launch();
    allow_next_launch();
    const u16* row = p.x + blockIdx.x * p.x_stride;
    float sum = 0.0f;
    for (int column = threadIdx.x; column < p.hidden; column += 256)
    {
        sum += __uint_as_float((u32)row[column] << 16) * p.gate[column];
    }

    sum = block_sum(sum);
    if (threadIdx.x == 0)
    {
        p.opened[blockIdx.x] = 1.0f / (1.0f + expf(-sum));
    }
}
