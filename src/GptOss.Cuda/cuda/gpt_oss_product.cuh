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

/// Tokens whose rows a product norms by itself: a launch less, but each block does it.
constexpr int kNormedTokens = 2;

/// Pieces of 4 values that a thread asks for at once.
constexpr int kNormedPieces = 4;

/// Elements behind each row in shared memory: rows of whole 128 bytes would all begin in the same banks.
constexpr int kRowGap = 32;

/// Rows that are (stream + added) ÷ √(mean of squares + epsilon) · weight, instead of the product's own.
struct NormedRows
{
    const float* stream;       // [tokens, inputs], float32
    const u16* added;          // BF16 [tokens, inputs]; the embedding, if the stream begins here
    const float* weight;       // [inputs]
    float* sum;                // [tokens, inputs], stream + added, other memory than the stream; 0 if nobody needs it
    const BatchToken* begins;  // the tokens where the stream begins with their embedding; else 0
    float epsilon;
    int reserved;
};

/// Puts (stream + added) · weight into shared memory, whose product is divided later; returns that factor for the token threadIdx.x % 8.
__device__ __forceinline__ float norm_rows(const Product& p, const NormedRows& n, u16* rows)
{
    __shared__ float squares[kProductWarps][kNormedTokens];
    const int pieces = p.inputs / 4;
#pragma unroll
    for (int token = 0; token < kNormedTokens; token++)
    {
        float own = 0.0f;
        if (token < p.tokens)
        {
            const float4* stream = (const float4*)(n.stream + (i64)token * p.inputs);
            const uint2* added = (const uint2*)(n.added + (n.begins != 0 ? (i64)n.begins[token].id : token) * p.inputs);
            float4* sum = (float4*)(n.sum + (i64)token * p.inputs);
            uint2* row = (uint2*)(rows + token * (p.inputs + kRowGap));
            for (int first = threadIdx.x; first < pieces; first += kNormedPieces * kProductThreads)
            {
                float4 v[kNormedPieces], w[kNormedPieces];
                uint2 a[kNormedPieces];
#pragma unroll
                for (int i = 0; i < kNormedPieces; i++)
                {
                    const int piece = first + i * kProductThreads;
                    if (piece < pieces)
                    {
                        v[i] = n.begins != 0 ? make_float4(0.0f, 0.0f, 0.0f, 0.0f) : stream[piece];
                        a[i] = added[piece];
                        w[i] = ((const float4*)n.weight)[piece];
                    }
                }

#pragma unroll
                for (int i = 0; i < kNormedPieces; i++)
                {
                    const int piece = first + i * kProductThreads;
                    if (piece < pieces)
                    {
                        v[i].x += __uint_as_float(a[i].x << 16);
                        v[i].y += __uint_as_float(a[i].x & 0xffff0000u);
                        v[i].z += __uint_as_float(a[i].y << 16);
                        v[i].w += __uint_as_float(a[i].y & 0xffff0000u);
                        own += v[i].x * v[i].x + v[i].y * v[i].y + v[i].z * v[i].z + v[i].w * v[i].w;
                        row[piece] = make_uint2(pack_bf16(v[i].x * w[i].x, v[i].y * w[i].y), pack_bf16(v[i].z * w[i].z, v[i].w * w[i].w));
                        if (n.sum != 0 && blockIdx.x == 0)
                        {
                            sum[piece] = v[i];
                        }
                    }
                }
            }
        }

#pragma unroll
        for (int d = 16; d > 0; d /= 2)
        {
            own += __shfl_xor_sync(~0u, own, d);
        }

        if (threadIdx.x % 32 == 0)
        {
            squares[threadIdx.x / 32][token] = own;
        }
    }

    __syncthreads();
    float all = 0.0f;
#pragma unroll
    for (int w = 0; w < kProductWarps; w++)
    {
        all += squares[w][threadIdx.x % kNormedTokens];
    }

    return 1.0f / sqrtf(all / p.inputs + n.epsilon);
}

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

    __syncthreads();
}

/// Hands (output, token, sum, sum of the output `half` further) to `way_out.store`, with what `way_out.begin` of the same output and token had brought
/// before the sums were there. A thread gets the same token each time. Dynamic shared memory: kProductWarps · kProductDepth · kStepBytes, and behind them,
/// for up to 8 tokens, their rows of inputs + kRowGap elements.
template <int kTiles, bool kNorms, typename TWayOut>
__device__ __forceinline__ void multiply(const Product& p, const NormedRows& n, TWayOut& way_out)
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
    float factor = 1.0f;
    if constexpr (kStages)
    {
        u16* staged = (u16*)(product_memory + kWarps * kDepth * kStepBytes);
        if constexpr (kNorms)
        {
            factor = norm_rows(p, n, staged);
        }
        else
        {
            stage_rows(p, staged);
        }

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

            way_out.store(own_output, own_token, kNorms ? one * factor : one, kNorms ? other * factor : other, state);
        }

        __syncthreads();
    }
}
