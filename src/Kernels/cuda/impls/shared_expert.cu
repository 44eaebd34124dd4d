// The shared experts of a layer for few tokens in one launch: both products, BF16 or E4M3 weights, and how far their gate opens.
//
// It runs on a stream of its own, beside the router, which leaves memory idle, and beside the first product, where the stream of mxfp4_stream.cuh does not
// take shared experts in.
//
// All tiles are one list: those of the first product, the gate's, those of the second product. Every block draws each of its tiles by a ticket, its
// first one too, so whoever waits for tiles of the first product waits for running blocks.
#include "epilogue/activation.cuh"
#include "epilogue/shared_gate.cuh"
#include "impls/few_tokens.cuh"

struct SharedExpertParameters
{
    const u16* x;        // BF16 [tokens, x_stride], rows 16-byte aligned
    const void* up;      // [rows, hidden], as FewTokens has weights: 2 · intermediate rows (gate, up interleaved), or intermediate without gates; even
    const void* down;    // [hidden, intermediate]
    const float4* up_scales;   // of E4M3 weights, else null
    const float4* down_scales;
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
/// Both products with tiles of 8 · kTiles tokens. TActivation: activation.cuh.
template <int kTiles, typename TActivation, bool kE4M3>
struct SharedExpert
{
    using Products = FewTokens<kTiles, kE4M3>;
    using Tile = typename Products::Tile;
    static constexpr int kTokens = Products::kTokens, kWarps = Products::kWarps, kRows = Products::kRows;

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
            return {is_first ? p.up : p.down,
                    is_first ? p.up_scales : p.down_scales,
                    is_first ? p.x : p.act,
                    is_first ? p.x_stride : (i64)p.intermediate,
                    is_first ? neuron_rows(p) : p.hidden,
                    is_first ? p.hidden : p.intermediate,
                    row0,
                    local % token_tiles};
        }
    };

    static __device__ __forceinline__ int neuron_rows(const SharedExpertParameters& p) { return TActivation::kNeuronRows * p.intermediate; }

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

    /// A warp a token: how far the gate opens.
    static __device__ __forceinline__ void open_gate(const SharedExpertParameters& p, int token)
    {
        if (token >= p.tokens)
        {
            return;
        }

        const float opened = open_shared_gate(p.x + token * p.x_stride, p.gate, p.hidden);
        if (threadIdx.x % 32 == 0)
        {
            p.opened[token] = opened;
        }
    }

    static __device__ __forceinline__ void run(const SharedExpertParameters& p)
    {
        extern __shared__ float4 shared[];
        __shared__ int drawn;
        float4* const sums = shared + Products::kRing * Products::kSliceBytes / 16;
        const List list(p);
        if (threadIdx.x == 0)
        {
            drawn = atomicAdd(p.counters, 1);
        }

        __syncthreads();
        int number = drawn;
        __syncthreads();
        auto is_product = [&] { return number < list.tiles && (number < list.firsts || number >= list.firsts + list.gates); };
        Tile tile = list.find(p, number);
        typename Products::Lane lane(tile, p.tokens, p.row_warps, shared_address(shared));
        if (is_product())
        {
            Products::begin(lane);
        }

#pragma unroll 1
        while (number < list.tiles)
        {
            const int next = threadIdx.x == 0 ? atomicAdd(p.counters, 1) : 0;  // the answer comes while this tile is made
            const bool is_first = number < list.firsts, has_sums = is_product();
            if (has_sums)
            {
                while (!is_first && load_acquire(p.counters + 2 + tile.token_tile) < list.row_tiles)
                {
                }

                Products::multiply(lane, sums);
            }
            else
            {
                open_gate(p, (number - list.firsts) * kWarps + (int)threadIdx.x / 32);
            }

            if (threadIdx.x == 0)
            {
                drawn = next;
            }

            // The next tile's weights come while this one's sums are stored.
            __syncthreads();
            number = drawn;
            const Tile done = tile;
            tile = list.find(p, number);
            if (is_product())
            {
                lane = typename Products::Lane(tile, p.tokens, p.row_warps, shared_address(shared));
                Products::begin(lane);
            }

            if (has_sums)
            {
                Products::store_sums(done, p.tokens, p.row_warps, sums, is_first ? p.up_factor : p.down_factor, [&](int row, int token, float even, float odd) {
                    store(p, is_first, row, token, even, odd);
                });
            }

            __syncthreads();
            if (threadIdx.x == 0 && is_first)
            {
                add_release(p.counters + 2 + done.token_tile, 1);
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

/// Grid: any number of blocks, best one a multiprocessor. Dynamic shared memory: FewTokens::kSharedBytes.
template <int kTiles, typename TActivation, bool kE4M3>
__global__ void __launch_bounds__(256, 2) moe_shared_expert(const __grid_constant__ SharedExpertParameters p)
{
    SharedExpert<kTiles, TActivation, kE4M3>::run(p);
}
