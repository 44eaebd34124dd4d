// y = W · x for 1 to 32 tokens: each weight is read once. 16 outputs are a unit of a thread block, whose warps share its inputs and add up what they have. A
// lane copies the very pieces of 16 bytes that it hands to the tensor cores, into places of its own, so that no thread waits for another's copies; and
// it asks for the first of them while the launch before still runs.
#pragma once
#include "gpt_oss_batch.cuh"

struct Product
{
    const u16* weight;  // BF16 [outputs, inputs]
    const u16* rows;    // BF16 [tokens, inputs]
    int outputs;
    int inputs;  // a multiple of 8
    int tokens;
    int half;  // a unit's outputs are 8 adjacent ones and the 8 that lie so much further, a multiple of 8: 8 for 16 adjacent ones
};

constexpr int kProductThreads = 256;

/// Steps of 32 inputs whose weights a warp has under way: some more than the registers would hold.
template <int kTiles>
constexpr int kProductDepth = kTiles == 1 ? 10 : 8;

/// Blocks of a multiprocessor that the registers are for.
template <int kTiles>
constexpr int kProductBlocks = kTiles <= 2 ? 2 : 1;

/// Bytes of a step of a warp: 16 rows of 32 inputs.
constexpr int kStepBytes = 1024;

/// The first output of a unit.
__device__ __forceinline__ int first_output(const Product& p, int unit)
{
    const int of_half = p.half / 8;
    return unit / of_half * 2 * p.half + unit % of_half * 8;
}

constexpr int kProductWarps = kProductThreads / 32;

/// The threads that multiply: a block's first.
__device__ __forceinline__ void wait_for_product_threads()
{
    named_barrier(1, kProductThreads);
}

/// Elements behind each row in shared memory: rows of whole 128 bytes would all begin in the same banks.
constexpr int kRowGap = 32;

/// The most weights of a product that are brought into L2 ahead: they, and what is used until then, must have room there.
constexpr i64 kMostAhead = 1 << 24;

/// Brings some steps of 32 inputs of the block's units into L2: a lane has a row's lines.
__device__ __forceinline__ void prefetch_units(const Product& p, int first, int count)
{
    const int lane = threadIdx.x % 32;
    for (int unit = blockIdx.x; unit < ceil_div(p.outputs, 16); unit += gridDim.x)
    {
        const int output = first_output(p, unit) + lane % 8 + lane / 8 % 2 * p.half;
        if (output < p.outputs)
        {
            for (int step = first + lane / 16 * 2; step < first + count; step += 4)
            {
                prefetch_l2(p.weight + (i64)output * p.inputs + min(step * 32, p.inputs - 1));
            }
        }
    }
}

/// Copies the product's own rows into shared memory, as norm_rows lays them.
__device__ __forceinline__ void stage_rows(const Product& p, u16* rows)
{
    const int pieces = p.inputs / 8;
    for (int i = threadIdx.x; i < p.tokens * pieces; i += kProductThreads)
    {
        const int token = i / pieces, piece = i % pieces;
        *(uint4*)(rows + token * (p.inputs + kRowGap) + 8 * piece) = *(const uint4*)(p.rows + (i64)token * p.inputs + 8 * piece);
    }

    wait_for_product_threads();
}

/// Hands (output, token, sum, sum of the output `half` further) to `way_out.store`, with what `way_out.begin` of the same output and token had brought
/// before the sums were there. A thread gets the same token each time. Dynamic shared memory: kProductWarps · kProductDepth · kStepBytes, and behind them,
/// for up to 8 tokens, their rows of inputs + kRowGap elements.
template <int kTiles, typename TWayOut>
__device__ __forceinline__ void multiply(const Product& p, TWayOut& way_out)
{
    static_assert(8 * 8 * kTiles <= kProductThreads, "a thread has one pair of outputs of a unit");
    constexpr int kWarps = kProductWarps, kDepth = kProductDepth<kTiles>, kTokens = 8 * kTiles;
    extern __shared__ __align__(16) char product_memory[];
    __shared__ float parts[kWarps][16][kTokens];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const int steps = ceil_div(p.inputs, 32), units = ceil_div(p.outputs, 16);
    const int first = steps * warp / kWarps, count = steps * (warp + 1) / kWarps - first;
    const u32 own = shared_address(product_memory) + warp * kDepth * kStepBytes + lane * 16;
    const u64 policy = policy_evict_first();

    // Where the copies are: a step of a unit of the block, and its place in shared memory.
    int ahead_unit = blockIdx.x, ahead = 0, ahead_place = 0, place = 0;
    auto is_input = [&](int step) { return step < count && (first + step) * 32 + 8 * t < p.inputs; };
    auto fetch = [&]() {
        const int output = first_output(p, ahead_unit) + g;
        const bool is_there = ahead_unit < units && is_input(ahead);
        const bool has_low = is_there && output < p.outputs, has_high = is_there && output + p.half < p.outputs;
        const u16* from = p.weight + (i64)output * p.inputs + (first + ahead) * 32 + 8 * t;
        copy_async(own + ahead_place * kStepBytes, has_low ? from : p.weight, has_low ? 16 : 0, policy);
        copy_async(own + ahead_place * kStepBytes + kStepBytes / 2, has_high ? from + (i64)p.half * p.inputs : p.weight, has_high ? 16 : 0, policy);
        copy_async_commit();
        ahead_place = ahead_place + 1 < kDepth ? ahead_place + 1 : 0;
        if (++ahead >= count)
        {
            ahead = 0;
            ahead_unit += gridDim.x;
        }
    };
#pragma unroll 1
    for (int i = 0; i < kDepth; i++)
    {
        fetch();
    }

    // What shared memory has no room for waits in L2, where it may be long until the inputs are there.
    if ((i64)p.outputs * p.inputs <= kMostAhead)
    {
        prefetch_units(p, first + kDepth, count - kDepth);
    }

    wait_for_previous_launch();
    constexpr bool kStages = kTiles == 1;
    const u16* rows = p.rows;
    int stride = p.inputs;
    if constexpr (kStages)
    {
        u16* staged = (u16*)(product_memory + kWarps * kDepth * kStepBytes);
        stage_rows(p, staged);
        rows = staged;
        stride += kRowGap;
    }

    for (int unit = blockIdx.x; unit < units; unit += gridDim.x)
    {
        const int own_token = threadIdx.x % kTokens, own_output = first_output(p, unit) + threadIdx.x / kTokens;
        const bool is_own = threadIdx.x < 8 * kTokens && own_token < p.tokens && own_output < p.outputs;
        typename TWayOut::State state;
        if (is_own)
        {
            state = way_out.begin(own_output, own_token);
        }

        // Inputs of some steps are asked for together.
        constexpr int kTogether = kStages ? 1 : 4;
        float sums[kTiles][4] = {};
#pragma unroll 1
        for (int step = 0; step < count; step += kTogether)
        {
            uint4 columns[kTogether][kTiles];
#pragma unroll
            for (int i = 0; i < kTogether; i++)
            {
#pragma unroll
                for (int tile = 0; tile < kTiles; tile++)
                {
                    const u16* from = rows + (tile * 8 + g) * stride + (first + step + i) * 32 + 8 * t;
                    columns[i][tile] = tile * 8 + g < p.tokens && is_input(step + i) ? *(const uint4*)from : make_uint4(0, 0, 0, 0);
                }
            }

#pragma unroll
            for (int i = 0; i < kTogether; i++)
            {
                if (step + i < count)
                {
                    copy_async_wait<kDepth - 1>();
                    const uint4 low = load_shared(own + place * kStepBytes), high = load_shared(own + place * kStepBytes + kStepBytes / 2);
                    place = place + 1 < kDepth ? place + 1 : 0;
#pragma unroll
                    for (int tile = 0; tile < kTiles; tile++)
                    {
                        mma_bf16_k32(sums[tile], low, high, columns[i][tile]);
                    }

                    fetch();
                }
            }
        }

#pragma unroll
        for (int tile = 0; tile < kTiles; tile++)
        {
#pragma unroll
            for (int i = 0; i < 4; i++)
            {
                parts[warp][g + i / 2 * 8][tile * 8 + 2 * t + i % 2] = sums[tile][i];
            }
        }

        __syncthreads();
        if (is_own)
        {
            const int row = threadIdx.x / kTokens;
            float one = 0.0f, other = 0.0f;
#pragma unroll
            for (int w = 0; w < kWarps; w++)
            {
                one += parts[w][row][own_token];
                other += parts[w][row + 8][own_token];
            }

            way_out.store(own_output, own_token, one, other, state);
        }

        __syncthreads();
    }
}
