// The projections around latent experts for few tokens, BF16 weights, a launch each: from the hidden size to the experts' width, and from the experts'
// sums back to the hidden size, where shared experts' results are added. A block a tile. Dynamic shared memory:
// FewTokens::kSharedBytes.
#include "impls/few_tokens.cuh"

struct ProjectionParameters
{
    const u16* x;         // BF16 [tokens, x_stride], rows 16-byte aligned
    const u16* weight;    // BF16 [rows, depth]
    const float* factor;  // [rows]: of the sums; null where all are 1
    void* out;            // [tokens, out_stride], BF16, or float32 if out_is_float
    const float* shared;  // [tokens, rows]: added to the sums; null where there is nothing
    const float* opened;  // [tokens]: what that is multiplied by, or null
    i64 x_stride;         // elements
    i64 out_stride;       // elements, any
    int tokens;
    int rows;             // a multiple of 8
    int depth;            // a multiple of 8
    int row_warps;        // 1, 2 or 4
    int out_is_float;
    int reserved;
};

/// Grid: row tiles · token tiles.
template <int kTiles>
__global__ void __launch_bounds__(256, 2) moe_latent(const __grid_constant__ ProjectionParameters p)
{
    allow_next_launch();
    using Products = FewTokens<kTiles>;
    extern __shared__ float4 shared[];
    float4* const sums = shared + Products::kRing * Products::kSliceBytes / 16;
    const int token_tiles = ceil_div(p.tokens, Products::kTokens), row0 = (int)blockIdx.x / token_tiles * Products::kRows * p.row_warps;
    const typename Products::Tile tile = {p.weight, nullptr, p.x, p.x_stride, p.rows, p.depth, row0, (int)blockIdx.x % token_tiles};
    const typename Products::Lane lane(tile, p.tokens, p.row_warps, shared_address(shared));
    Products::begin(lane);
    wait_for_previous_launch();
    Products::multiply(lane, sums);
    __syncthreads();
    Products::store_sums(tile, p.tokens, p.row_warps, sums, p.factor, [&](int row, int token, float even, float odd) {
        if (p.shared != nullptr)
        {
            const float weight = p.opened != nullptr ? p.opened[token] : 1.0f;
            const float2 v = *(const float2*)(p.shared + (i64)token * p.rows + row);
            even += weight * v.x;
            odd += weight * v.y;
        }

        const i64 to = token * p.out_stride + row;
        if (p.out_is_float)
        {
            ((float*)p.out)[to] = even;
            ((float*)p.out)[to + 1] = odd;
        }
        else
        {
            ((u16*)p.out)[to] = float_to_bf16(even);
            ((u16*)p.out)[to + 1] = float_to_bf16(odd);
        }
    });
}
