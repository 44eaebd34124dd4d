// The shared experts of a layer for few tokens in one launch: both products, BF16 weights, and how far their gate opens.
//
// It runs on a stream of its own, beside the router, which leaves memory idle, and beside the first product.
//
// All tiles are one list: those of the first product, the gate's, those of the second product. Every block draws each of its tiles by a ticket, its
// first one too, so whoever waits for tiles of the first product waits for running blocks. A tile is 16 · row_warps weight rows by 8 · kTiles tokens; the
// other warps divide the inner dimension. Weights go to registers, a ring of slices of 32 inputs ahead of what is multiplied, and little shared memory
// leaves room for the router and for blocks of the products.
#include "epilogue/activation.cuh"
#include "ptx/ptx.cuh"

struct SharedExpertParameters
{
    const u16* x;        // BF16 [tokens, x_stride], rows 16-byte aligned
    const u16* up;       // BF16 [rows, hidden]: 2 · intermediate rows (gate, up interleaved), or intermediate without gates; an even number
    const u16* down;     // BF16 [hidden, intermediate]
    const float* up_factor;    // [rows]: of the first product's sums; null where all are 1
    const float* down_factor;  // [hidden]: of the second's
    const float* gate;   // [hidden], or null: each token's sum is multiplied by sigmoid(x · gate) later
    u16* act;            // BF16 [tokens, intermediate]
    float* out;          // [tokens, hidden]
    float* opened;       // [tokens]
    int* counters;       // [2 + token tiles], 0 before the first launch; each launch leaves zeros: tiles drawn, blocks done, tiles of act stored
    i64 x_stride;        // elements
    int tokens;
    int hidden;          // a multiple of 8
    int intermediate;    // a multiple of 8
    int row_warps;       // 1, 2 or 4
    int reserved;
    Activation activation;
};

namespace
{
constexpr int kWarps = 8, kRows = 16;  // of a block; weight rows of a warp

/// Both products with tiles of 8 · kTiles tokens. TActivation: activation.cuh.
template <int kTiles, typename TActivation>
struct SharedExpert
{
    static constexpr int kTokens = 8 * kTiles;
    static constexpr int kRing = kTiles == 1 ? 6 : 4;  // slices that are under way

    /// What a block's threads tell each other.
    struct Shared
    {
        float4 sums[kWarps * kTiles * 32];
        int number, next;  // of this tile and of the next one
    };

    /// One of the products, and one of its tiles.
    struct Tile
    {
        const u16* weight;
        const u16* x;
        i64 x_stride;
        int rows, depth, row0, token_tile;
    };

    /// The numbers of tiles.
    struct List
    {
        int token_tiles, row_tiles, firsts, gates, tiles;

        __device__ __forceinline__ explicit List(const SharedExpertParameters& p)
            : token_tiles(ceil_div(p.tokens, kTokens)), row_tiles(ceil_div(neuron_rows(p), kRows * p.row_warps)), firsts(row_tiles * token_tiles),
              gates(p.gate != nullptr ? ceil_div(p.tokens, kWarps) : 0),
              tiles(firsts + gates + ceil_div(p.hidden, kRows * p.row_warps) * token_tiles)
        {
        }

        __device__ __forceinline__ Tile find(const SharedExpertParameters& p, int number) const
        {
            const bool is_first = number < firsts;
            const int local = is_first ? number : number - firsts - gates, row0 = local / token_tiles * kRows * p.row_warps;
            return {is_first ? p.up : p.down,      is_first ? p.x : p.act,           is_first ? p.x_stride : (i64)p.intermediate,
                    is_first ? neuron_rows(p) : p.hidden, is_first ? p.hidden : p.intermediate, row0, local % token_tiles};
        }
    };

    static __device__ __forceinline__ int neuron_rows(const SharedExpertParameters& p) { return TActivation::kNeuronRows * p.intermediate; }

    /// A warp's sums of its rows and its part of the inner dimension: matrix row g is weight row 2g and row g + 8 is 2g + 1, so that gate and up of a
    /// neuron meet in one thread. `await_rows` is called before tokens are read.
    template <typename TAwaitRows>
    static __device__ __forceinline__ void multiply(const Tile& tile, int tokens, int row_warps, float (&sums)[kTiles][4], const TAwaitRows& await_rows)
    {
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
        const int row = tile.row0 + warp % row_warps * kRows + 2 * g, part = warp / row_warps, parts = kWarps / row_warps;
        const int slices = ceil_div(tile.depth, 32), begin = slices * part / parts, end = slices * (part + 1) / parts;
        const int token = tile.token_tile * kTokens + g, left = tokens - token;
        const u16* const from = tile.weight + (i64)row * tile.depth + t * 8;
        const u16* const column = tile.x + token * tile.x_stride + t * 8;
        const int stride = 8 * (int)tile.x_stride;  // of few tokens
        const int depth = tile.depth - t * 8, depth_of_rows = row < tile.rows ? depth : 0;
        uint4 rows[kRing][2], columns[kRing][kTiles];
        auto load_rows = [&](uint4(&to)[2], int slice) {
            const bool exists = slice < end && slice * 32 < depth_of_rows;
            to[0] = load_once_if(exists, from + slice * 32);
            to[1] = load_once_if(exists, from + tile.depth + slice * 32);
        };
        auto load_column = [&](uint4& to, int j, int slice) {
            to = load_if(slice < end && slice * 32 < depth && j * 8 < left, column + (j * stride + slice * 32));
        };
#pragma unroll
        for (int i = 0; i < kRing; i++)
        {
            load_rows(rows[i], begin + i);
        }

        await_rows();
#pragma unroll
        for (int i = 0; i < kRing; i++)
        {
#pragma unroll
            for (int j = 0; j < kTiles; j++)
            {
                load_column(columns[i][j], j, begin + i);
            }
        }

#pragma unroll 1
        for (int slice = begin; slice < end; slice += kRing)
        {
#pragma unroll
            for (int i = 0; i < kRing; i++)
            {
#pragma unroll
                for (int j = 0; j < kTiles; j++)
                {
                    mma_bf16_k32(sums[j], rows[i][0], rows[i][1], columns[i][j]);
                    load_column(columns[i][j], j, slice + i + kRing);
                }

                load_rows(rows[i], slice + i + kRing);
            }
        }
    }

    static __device__ __forceinline__ void store(const SharedExpertParameters& p, bool is_first, int row, int token, float even, float odd)
    {
        const TActivation activation = {p.activation};
        if (!is_first)
        {
            *(float2*)(p.out + (i64)token * p.hidden + row) = make_float2(even, odd);
        }
        else if constexpr (TActivation::kNeuronRows == 1)
        {
            *(u32*)(p.act + (i64)token * p.intermediate + row) = pack_bf16(activation(even), activation(odd));
        }
        else
        {
            p.act[(i64)token * p.intermediate + row / 2] = float_to_bf16(activation(even, odd));
        }
    }

    /// Adds the parts' sums in their order, which keeps the result the same each time, and stores them. Of a warp's tile it knows no more than the number.
    static __device__ __forceinline__ void store_sums(const SharedExpertParameters& p, const Shared& shared)
    {
        const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, number = *(volatile const int*)&shared.number;
        const List list(p);
        const Tile tile = list.find(p, number);
#pragma unroll 1
        for (int item = threadIdx.x / 32; item < p.row_warps * kTiles; item += kWarps)
        {
            const int j = item % kTiles, row_warp = item / kTiles, row = tile.row0 + row_warp * kRows + 2 * g;
            const int token = tile.token_tile * kTokens + j * 8 + 2 * t;
            float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll 1
            for (int w = row_warp; w < kWarps; w += p.row_warps)
            {
                const float4 v = shared.sums[(w * kTiles + j) * 32 + lane];
                sum.x += v.x;
                sum.y += v.y;
                sum.z += v.z;
                sum.w += v.w;
            }

            const float* const factor = number < list.firsts ? p.up_factor : p.down_factor;
            const float2 f = factor != nullptr && row < tile.rows ? *(const float2*)(factor + row) : make_float2(1, 1);
            if (row < tile.rows && token < p.tokens)
            {
                store(p, number < list.firsts, row, token, sum.x * f.x, sum.z * f.y);
            }

            if (row < tile.rows && token + 1 < p.tokens)
            {
                store(p, number < list.firsts, row, token + 1, sum.y * f.x, sum.w * f.y);
            }
        }
    }

    /// A warp a token: how far the gate opens.
    static __device__ __forceinline__ void open_gate(const SharedExpertParameters& p, int token)
    {
        if (token >= p.tokens)
        {
            return;
        }

        const int lane = threadIdx.x % 32;
        float sum = 0.0f;
#pragma unroll 2
        for (int column = lane * 8; column < p.hidden; column += 256)
        {
            const uint4 v = *(const uint4*)(p.x + token * p.x_stride + column);
            const float4 low = *(const float4*)(p.gate + column), high = *(const float4*)(p.gate + column + 4);
            const u32 words[4] = {v.x, v.y, v.z, v.w};
            const float gates[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
#pragma unroll
            for (int i = 0; i < 4; i++)
            {
                sum += __uint_as_float(words[i] << 16) * gates[2 * i] + __uint_as_float(words[i] & 0xffff0000u) * gates[2 * i + 1];
            }
        }

#pragma unroll
        for (int d = 16; d > 0; d /= 2)
        {
            sum += __shfl_xor_sync(~0u, sum, d);
        }

        if (lane == 0)
        {
            p.opened[token] = 1.0f / (1.0f + expf(-sum));
        }
    }

    static __device__ __forceinline__ void run(const SharedExpertParameters& p)
    {
        __shared__ Shared shared;
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        const List list(p);
        if (threadIdx.x == 0)
        {
            shared.number = atomicAdd(p.counters, 1);
        }

        __syncthreads();
#pragma unroll 1
        for (int number = shared.number; number < list.tiles;)
        {
            const int drawn = threadIdx.x == 0 ? atomicAdd(p.counters, 1) : 0;  // the answer comes while this tile is made
            const bool is_gate = number >= list.firsts && number < list.firsts + list.gates;
            if (is_gate)
            {
                open_gate(p, (number - list.firsts) * kWarps + warp);
            }
            else
            {
                float sums[kTiles][4] = {};
                const Tile tile = list.find(p, number);
                int* const stored = number < list.firsts ? nullptr : p.counters + 2 + tile.token_tile;
                multiply(tile, p.tokens, p.row_warps, sums, [&] {
                    while (stored != nullptr && load_acquire(stored) < list.row_tiles)
                    {
                    }
                });
#pragma unroll
                for (int j = 0; j < kTiles; j++)
                {
                    shared.sums[(warp * kTiles + j) * 32 + lane] = make_float4(sums[j][0], sums[j][1], sums[j][2], sums[j][3]);
                }
            }

            if (threadIdx.x == 0)
            {
                shared.next = drawn;
            }

            __syncthreads();
            if (!is_gate)
            {
                store_sums(p, shared);
            }

            number = shared.next;
            __syncthreads();
            if (threadIdx.x == 0)
            {
                if (shared.number < list.firsts)
                {
                    add_release(p.counters + 2 + shared.number % list.token_tiles, 1);
                }

                shared.number = number;
            }
        }

        // Who leaves last has seen all others draw their last ticket.
        if (threadIdx.x == 0 && atomicAdd(p.counters + 1, 1) == (int)gridDim.x - 1)
        {
            for (int i = 0; i < 2 + list.token_tiles; i++)
            {
                p.counters[i] = 0;
            }
        }
    }
};
}

/// Grid: any number of blocks, best one a multiprocessor.
template <int kTiles, typename TActivation>
__global__ void __launch_bounds__(256, 2) moe_shared_expert(const __grid_constant__ SharedExpertParameters p)
{
    SharedExpert<kTiles, TActivation>::run(p);
}
