// The products for activations that are rounded to MXFP8.
#include "epilogue/round_mxfp8.cuh"
#include "impls/mxfp4_mma.cuh"

namespace
{
/// Stores act rounded to MXFP8: gates and ups of pairs of tokens of this lane's neuron. Four warps have a block of 32 neurons.
struct StoreMxfp8
{
    template <typename TActivate>
    static __device__ __forceinline__ void store(const float (&sums)[kColumns][4], const TActivate& activation, u16* out, i64 out_stride, int tokens)
    {
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, set = warp / 4;
        uint4(&shared)[kSets][mxfp8_pairs(kTokens)] = largest();
        float act[kColumns][2];
#pragma unroll
        for (int c0 = 0; c0 < kColumns; c0 += 4)
        {
            u32 magnitudes[4];
#pragma unroll
            for (int i = 0; i < 4; i++)
            {
                const int c = c0 + i;
                act[c][0] = activation(sums[c][0], sums[c][2]);
                act[c][1] = activation(sums[c][1], sums[c][3]);
                magnitudes[i] = magnitudes_bf16x2(act[c][0], act[c][1]);
            }

            publish_magnitudes(shared[set], c0 * 4, warp % 4, magnitudes);
        }

        // Before this is written again all warps pass the barriers of the next tile's steps.
        named_barrier(kFirstBarrier + set, 128);
        const u32 powers = mxfp8_powers(shared[set][lane]);
#pragma unroll
        for (int c = 0; c < kColumns; c++)
        {
            const int token = c * 8 + lane % 4 * 2;
            const u32 rounded = round_mxfp8x2(act[c][0], act[c][1], __shfl_sync(~0u, powers, c * 4 + lane % 4));
            if (token < tokens)
            {
                out[token * out_stride] = (u16)rounded;
            }

            if (token + 1 < tokens)
            {
                out[(token + 1) * out_stride] = (u16)(rounded >> 16);
            }
        }
    }

    /// Without gates, a lane has neurons 8 apart, and two warps a block.
    template <typename TActivate>
    static __device__ __forceinline__ void store_rows(const float (&sums)[kColumns][4], const TActivate& activation, u16* out, i64 out_stride, int tokens)
    {
        const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, set = warp / 4;
        uint4(&shared)[kSets][mxfp8_pairs(kTokens)] = largest();
        float act[kColumns][4];
#pragma unroll
        for (int c0 = 0; c0 < kColumns; c0 += 4)
        {
            u32 magnitudes[4];
#pragma unroll
            for (int i = 0; i < 4; i++)
            {
                const int c = c0 + i;
#pragma unroll
                for (int j = 0; j < 4; j++)
                {
                    act[c][j] = activation(sums[c][j], j >= 2);
                }

                magnitudes[i] = max_bf16x2(magnitudes_bf16x2(act[c][0], act[c][1]), magnitudes_bf16x2(act[c][2], act[c][3]));
            }

            publish_magnitudes(shared[set], c0 * 4, warp % 4, magnitudes);
        }

        named_barrier(kFirstBarrier + set, 128);
        const uint4 all = shared[set][lane];
        const u32 powers = mxfp8_powers(warp % 4 < 2 ? max_bf16x2(all.x, all.y) : max_bf16x2(all.z, all.w));
#pragma unroll
        for (int c = 0; c < kColumns; c++)
        {
            const u32 own = __shfl_sync(~0u, powers, c * 4 + lane % 4);
#pragma unroll
            for (int half = 0; half < 2; half++)
            {
                const u32 rounded = round_mxfp8x2(act[c][2 * half], act[c][2 * half + 1], own);
#pragma unroll
                for (int i = 0; i < 2; i++)
                {
                    const int token = c * 8 + lane % 4 * 2 + i;
                    if (token < tokens)
                    {
                        out[token * out_stride + 8 * half] = (u16)(rounded >> 16 * i);
                    }
                }
            }
        }
    }

private:
    static constexpr int kSets = kWarps / 4, kFirstBarrier = 1;
    static_assert(mxfp8_pairs(kTokens) == 32, "a lane for each pair");

    static __device__ __forceinline__ uint4 (&largest())[kSets][mxfp8_pairs(kTokens)]
    {
        __shared__ uint4 shared[kSets][mxfp8_pairs(kTokens)];
        return shared;
    }
};
}

template <typename TActivation>
__global__ void __launch_bounds__(kThreads, 1) moe_mxfp4_mma_product1(const __grid_constant__ Mxfp4MmaParameters p)
{
    product<true, StoreMxfp8, TActivation>(p);
}

extern "C" __global__ void __launch_bounds__(kThreads, 1) moe_mxfp4_mma_product2(const __grid_constant__ Mxfp4MmaParameters p)
{
    product<false, StoreMxfp8>(p);
}
