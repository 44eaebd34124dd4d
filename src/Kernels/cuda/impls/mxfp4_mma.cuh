// Both products of an MXFP4 mixture-of-experts layer with the warp's matrix instruction: for devices that lack what the other kernels use.
//
// A tile is 128 weight rows by up to 64 tokens of one expert; each of eight warps widens 16 rows in registers and multiplies them with all
// of the tokens. Weights and gathered token rows come through four stages of 64 inputs.
//
// Blocks of 256 threads; kSharedBytes of dynamic shared memory; any number of blocks.
#pragma once
#include "epilogue/activation.cuh"
#include "formats/mxfp4.cuh"

namespace
{
constexpr int kWarps = 8, kThreads = kWarps * 32, kTokens = 64, kColumns = kTokens / 8, kStages = 4;
constexpr int kTokenStride = kGroupDepth * 2 + 16, kWeightBytes = kWarps * kGroupBytes, kStageBytes = kWeightBytes + kTokens * kTokenStride;
constexpr int kSharedBytes = kStages * kStageBytes;
static_assert(kSharedBytes == 54272, "what the host asks for");
}

struct Mxfp4MmaParameters
{
    const u8* weight;            // groups (mxfp4.cuh), [experts, groups, steps]
    const float* factor;         // [experts, rows]: the rows' own factors, or null where all are 1
    const float* bias;           // first product only: [experts, rows], or null
    const u16* x;                // first: BF16 [tokens, x_stride]; second: BF16 [sorted pairs, x_stride]; rows 16-byte aligned
    u16* out;                    // first: BF16 [sorted pairs, out_stride]; second: BF16 [pairs, out_stride], without bias and router weight
    const int* sorted_pairs;     // [pairs], a pair is token · top_k + k
    const int4* row_blocks;      // made with block_rows = kTokens
    const int* row_block_count;
    i64 x_stride;                // elements
    i64 out_stride;              // elements
    int rows;                    // first: 2 · intermediate, or intermediate without gates; second: hidden; a multiple of 16
    int depth;                   // inner dimension, a multiple of 32
    int top_k;
    Activation activation;
};

namespace
{
/// Stores act in BF16: gates and ups of pairs of tokens of this lane's neuron.
struct StoreBf16
{
    template <typename TActivate>
    static __device__ __forceinline__ void store(const float (&sums)[kColumns][4], const TActivate& activation, u16* out, i64 out_stride, int tokens)
    {
#pragma unroll
        for (int c = 0; c < kColumns; c++)
        {
#pragma unroll
            for (int i = 0; i < 2; i++)
            {
                const int token = c * 8 + threadIdx.x % 4 * 2 + i;
                if (token < tokens)
                {
                    out[token * out_stride] = float_to_bf16(activation(sums[c][i], sums[c][i + 2]));
                }
            }
        }
    }

    /// Without gates, a lane has neurons 8 apart.
    template <typename TActivate>
    static __device__ __forceinline__ void store_rows(const float (&sums)[kColumns][4], const TActivate& activation, u16* out, i64 out_stride, int tokens)
    {
#pragma unroll
        for (int c = 0; c < kColumns; c++)
        {
#pragma unroll
            for (int i = 0; i < 2; i++)
            {
                const int token = c * 8 + threadIdx.x % 4 * 2 + i;
                if (token < tokens)
                {
                    out[token * out_stride] = float_to_bf16(activation(sums[c][i], false));
                    out[token * out_stride + 8] = float_to_bf16(activation(sums[c][i + 2], true));
                }
            }
        }
    }
};

/// TStore: how the first product's results are stored.
template <bool kFirst, typename TStore, typename TActivation = Activation>
__device__ __forceinline__ void product(const Mxfp4MmaParameters& p)
{
    extern __shared__ __align__(128) char shared[];
    const u32 base = shared_address(shared);
    const int thread = threadIdx.x, lane = thread % 32, warp = thread / 32, g = lane / 4, t = lane % 4;
    wait_for_previous_launch();
    allow_next_launch();
    const int groups = p.rows / kGroupRows, stripes = ceil_div(groups, kWarps), steps = ceil_div(p.depth, kGroupDepth);
    const int tiles = load_coherent(p.row_block_count) * stripes;
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x)
    {
        const int4 block = load_coherent(p.row_blocks + tile / stripes);
        const int group0 = tile % stripes * kWarps, weight_pieces = min(kWarps, groups - group0) * (kGroupBytes / 16);
        const u8* weight = p.weight + block.x * expert_bytes(p.rows, steps);
        const u16* rows[2];
#pragma unroll
        for (int i = 0; i < 2; i++)
        {
            const int place = block.y + min(thread / 8 + i * 32, block.z - 1);
            rows[i] = p.x + (kFirst ? (i64)(load_coherent(p.sorted_pairs + place) / p.top_k) : (i64)place) * p.x_stride + thread % 8 * 8;
        }

        auto copy = [&](int step) {
            const u32 stage = base + step % kStages * kStageBytes;
            if (step < steps)
            {
                for (int piece = thread; piece < weight_pieces; piece += kThreads)
                {
                    const int group = piece / (kGroupBytes / 16), within = piece % (kGroupBytes / 16);
                    copy_async(stage + piece * 16, weight + group_offset(group0 + group, step, steps) + within * 16, 16);
                }

                const int bytes = step * kGroupDepth + thread % 8 * 8 < p.depth ? 16 : 0;
#pragma unroll
                for (int i = 0; i < 2; i++)
                {
                    copy_async(stage + kWeightBytes + (thread / 8 + i * 32) * kTokenStride + thread % 8 * 16,
                               rows[i] + (bytes != 0 ? step * kGroupDepth : 0), bytes);
                }
            }

            copy_async_commit();
        };
#pragma unroll
        for (int i = 0; i < kStages - 1; i++)
        {
            copy(i);
        }

        float sums[kColumns][4] = {};
        for (int step = 0; step < steps; step++)
        {
            copy_async_wait<kStages - 2>();
            __syncthreads();
            copy(step + kStages - 1);
            const u32 stage = base + step % kStages * kStageBytes, group = stage + warp * kGroupBytes;
            const uint4 codes = load_shared(group + lane * 16);
            const u32 scales = load_shared_word(group + kGroupCodeBytes + g * 4);
            const u32 words[4] = {codes.x, codes.y, codes.z, codes.w};
            const u32 tokens = stage + kWeightBytes + lane % 8 * kTokenStride + lane / 8 * 16;
#pragma unroll
            for (int half = 0; half < 2; half++)
            {
                const u32 low = scale_factor(scales, half), high = scale_factor(scales, half + 2);
                u32 a[2][4];
                widen_codes(a[0], a[1], words[2 * half], words[2 * half + 1], low, high);
#pragma unroll
                for (int c = 0; c < kColumns; c++)
                {
                    if (c * 8 < block.z)
                    {
                        u32 b[4];
                        load_matrix_x4(b, tokens + c * 8 * kTokenStride + half * 64);
                        mma_bf16(sums[c], a[0][0], a[0][1], a[0][2], a[0][3], b[0], b[1]);
                        mma_bf16(sums[c], a[1][0], a[1][1], a[1][2], a[1][3], b[2], b[3]);
                    }
                }
            }
        }

        __syncthreads();  // the next tile's copies may overwrite the last stages
        const int group = group0 + warp;
        if (group >= groups)
        {
            continue;
        }

        // Matrix rows g and g + 8 are gate and up of one output, or two outputs.
        constexpr bool kPaired = kFirst && TActivation::kNeuronRows == 2;
        const int low = group * kGroupRows + (kPaired ? 2 * g : g), high = low + (kPaired ? 1 : 8);
        const i64 weight_row = (i64)block.x * p.rows;
        const float2 factor = p.factor == nullptr ? make_float2(1, 1) : make_float2(p.factor[weight_row + low], p.factor[weight_row + high]);
        const float2 bias = kFirst && p.bias != nullptr ? make_float2(p.bias[weight_row + low], p.bias[weight_row + high]) : make_float2(0, 0);
        const TActivation formula = {p.activation};
        if constexpr (kFirst && !kPaired)
        {
            auto activation = [&](float up, bool is_high) { return formula(is_high ? up * factor.y + bias.y : up * factor.x + bias.x); };
            TStore::store_rows(sums, activation, p.out + block.y * p.out_stride + low, p.out_stride, block.z);
        }
        else if constexpr (kFirst)
        {
            auto activation = [&](float gate, float up) { return formula(gate * factor.x + bias.x, up * factor.y + bias.y); };
            TStore::store(sums, activation, p.out + block.y * p.out_stride + low / 2, p.out_stride, block.z);
        }
        else
        {
#pragma unroll
            for (int c = 0; c < kColumns; c++)
            {
#pragma unroll
                for (int i = 0; i < 2; i++)
                {
                    const int token = c * 8 + 2 * t + i;
                    if (token < block.z)
                    {
                        u16* out = p.out + (i64)load_coherent(p.sorted_pairs + block.y + token) * p.out_stride;
                        out[low] = float_to_bf16(sums[c][i] * factor.x);
                        out[high] = float_to_bf16(sums[c][i + 2] * factor.y);
                    }
                }
            }
        }
    }
}
}
