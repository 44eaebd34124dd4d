// Both products of a BF16 mixture-of-experts layer for many tokens per expert, with the warps' matrix instruction that every device since
// sm_80 has. Tiles of 128 weight rows by 128 tokens of one expert, four stages of 32 values of the inner dimension.
//
// Blocks of 256 threads, 65536 bytes of dynamic shared memory; any number of blocks, each takes every gridDim.x-th tile.
#include "impls/bf16_product.cuh"
#include "ptx/ptx.cuh"

namespace
{
constexpr int kRows = 128, kTokens = 128, kDepth = 32, kStages = 4;
constexpr int kWeightBytes = kRows * kDepth * 2, kStageBytes = kWeightBytes + kTokens * kDepth * 2;
}

namespace
{
/// Rows of 64 bytes whose four 16-byte pieces change places, so that 8 rows' same pieces lie in distinct banks.
__device__ __forceinline__ u32 place(int row, int piece)
{
    return row * 64 + ((piece ^ (row / 2 % 4)) * 16);
}

template <bool kFirst, typename TActivation = Activation>
__device__ __forceinline__ void product(const Bf16ProductParameters& p)
{
    extern __shared__ __align__(128) char stages[];
    const u32 base = shared_address(stages);
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, row_part = warp % 4 * 32, token_part = warp / 4 * 64;
    const int piece = threadIdx.x % 4, copy_row = threadIdx.x / 4;
    wait_for_previous_launch();
    allow_next_launch();

    const int row_tiles = ceil_div(p.rows, kRows), tiles = *p.row_block_count * row_tiles, steps = ceil_div(p.depth, kDepth);
    for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x)
    {
        const int4 block = p.row_blocks[tile / row_tiles];  // expert, first, count
        const int row0 = tile % row_tiles * kRows;
        const u16* weights[2];
        const u16* tokens[2];
#pragma unroll
        for (int i = 0; i < 2; i++)
        {
            // Of 16 rows the even ones come first, so that a thread's two rows of a matrix product are neighbours: gate and up.
            const int at = copy_row + i * 64, row = row0 + at / 16 * 16 + at % 8 * 2 + at / 8 % 2;
            weights[i] = p.weight + ((i64)block.x * p.rows + min(row, p.rows - 1)) * p.depth;
            const int sorted = block.y + min(at, block.z - 1);
            tokens[i] = p.x + (kFirst ? p.sorted_pairs[sorted] / p.top_k : sorted) * p.x_stride;
        }

        auto fill = [&](int step) {
            if (step < steps)
            {
                const int k = step * kDepth + piece * 8, bytes = k < p.depth ? 16 : 0, from = bytes ? k : 0;
                const u32 to = base + step % kStages * kStageBytes;
#pragma unroll
                for (int i = 0; i < 2; i++)
                {
                    copy_async(to + place(copy_row + i * 64, piece), weights[i] + from, bytes);
                    copy_async(to + kWeightBytes + place(copy_row + i * 64, piece), tokens[i] + from, bytes);
                }
            }

            copy_async_commit();
        };

        float sums[2][8][4] = {};
        for (int step = 0; step < kStages - 1; step++)
        {
            fill(step);
        }

        for (int step = 0; step < steps; step++)
        {
            copy_async_wait<kStages - 2>();
            __syncthreads();
            fill(step + kStages - 1);
            const u32 stage = base + step % kStages * kStageBytes;
#pragma unroll
            for (int k = 0; k < kDepth / 8; k += 2)
            {
                u32 a[2][4];
#pragma unroll
                for (int i = 0; i < 2; i++)
                {
                    load_matrix_x4(a[i], stage + place(row_part + i * 16 + lane % 16, k + lane / 16));
                }

#pragma unroll
                for (int j = 0; j < 8; j += 2)
                {
                    u32 b[4];
                    load_matrix_x4(b, stage + kWeightBytes + place(token_part + j * 8 + lane / 16 * 8 + lane % 8, k + lane / 8 % 2));
#pragma unroll
                    for (int i = 0; i < 2; i++)
                    {
                        mma_bf16(sums[i][j], a[i][0], a[i][1], a[i][2], a[i][3], b[0], b[1]);
                        mma_bf16(sums[i][j + 1], a[i][0], a[i][1], a[i][2], a[i][3], b[2], b[3]);
                    }
                }
            }
        }

        // The next tile's copies overwrite what slower warps still read.
        copy_async_wait<0>();
        __syncthreads();
#pragma unroll
        for (int i = 0; i < 2; i++)
        {
            const int row = row0 + row_part + i * 16 + lane / 4 * 2;
            if (row >= p.rows)
            {
                continue;
            }

            const float2 factor = p.factor != nullptr ? *(const float2*)(p.factor + (i64)block.x * p.rows + row) : make_float2(1, 1);
            const float2 bias = kFirst && p.bias != nullptr ? *(const float2*)(p.bias + (i64)block.x * p.rows + row) : make_float2(0, 0);
#pragma unroll
            for (int j = 0; j < 16; j++)
            {
                const int token = token_part + j / 2 * 8 + lane % 4 * 2 + j % 2;
                if (token >= block.z)
                {
                    continue;
                }

                const float even = sums[i][j / 2][j % 2] * factor.x + bias.x, odd = sums[i][j / 2][j % 2 + 2] * factor.y + bias.y;
                const TActivation activation = {p.activation};
                u16* out = (u16*)p.out;
                if constexpr (kFirst && TActivation::kNeuronRows == 1)
                {
                    *(u32*)(out + (block.y + token) * p.out_stride + row) = pack_bf16(activation(even), activation(odd));
                }
                else if constexpr (kFirst)
                {
                    out[(block.y + token) * p.out_stride + row / 2] = float_to_bf16(activation(even, odd));
                }
                else
                {
                    *(u32*)(out + p.sorted_pairs[block.y + token] * p.out_stride + row) = pack_bf16(even, odd);
                }
            }
        }
    }
}
}

template <typename TActivation>
__global__ void __launch_bounds__(256) moe_bf16_prefill_mma_product1(const __grid_constant__ Bf16ProductParameters p)
{
    product<true, TActivation>(p);
}

extern "C" __global__ void __launch_bounds__(256) moe_bf16_prefill_mma_product2(const __grid_constant__ Bf16ProductParameters p)
{
    product<false>(p);
}
