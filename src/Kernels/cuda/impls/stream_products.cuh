// What a warp of the stream of weights multiplies (mxfp4_stream.cuh): its share of a tile, stage by stage.
//
// Which steps of a tile a warpgroup multiplies is the same whatever came before, so results are the same bit for bit.
#pragma once
#include "formats/e4m3.cuh"
#include "impls/mxfp4_grouped.cuh"
#include "impls/stream_block.cuh"

/// Of a block, a StreamBlock.
template <typename TBlock>
struct StreamProducts
{
    using TDealing = typename TBlock::TDealing;
    using Ring = typename TBlock::Ring;

    /// A warp's sums, of every other instruction each, so that none waits for the one before. They meet at the tile's end alone: where a warpgroup stores
    /// another tile in between depends on which blocks drew which tiles, and must not change the order of the additions.
    struct Sums
    {
        float even[TBlock::kColumns / 2], odd[TBlock::kColumns / 2];
    };

    /// A warp's product of kSteps steps of a stage. Beyond the `last` one of the inner dimension the tokens are 0, and any weights will do. Each warp multiplies
    /// 16 rows by itself, with the matrix instruction of a warp: that of a warpgroup takes its rows out of registers in 16 cycles, however few columns there are.
    static __device__ __forceinline__ void multiply_steps(Sums& d, u32 weights, u32 tokens, int columns, int first_step, int last)
    {
        const int lane = threadIdx.x % 32;
        PackedStep packed[TBlock::kSteps];
        u32 b[TBlock::kSteps][2][4];
#pragma unroll
        for (int step = 0; step < TBlock::kSteps; step++)
        {
            // Rows of 128 bytes, swizzled: lane 8j + r gives row r of inputs 8j … 8j + 7. Bit 6 leads to those 32 inputs further.
            const int row = (first_step + step) * columns + lane % 8;
            const u32 at = row * 128 + (lane / 8 ^ row % 8) * 16;
            packed[step] = load_step(weights + min(first_step + step, last) * TBlock::kStepBytes);
            load_matrix_x4(b[step][0], tokens + at);
            load_matrix_x4(b[step][1], tokens + (at ^ 64));
        }

#pragma unroll
        for (int step = 0; step < TBlock::kSteps; step++)
        {
            u32 a[4][4];
            widen_step<TDealing>(a, packed[step]);
#pragma unroll
            for (int k = 0; k < 4; k++)
            {
                const u32* columns_of = b[step][k / 2] + k % 2 * 2;
                mma_bf16(k % 2 == 0 ? d.even : d.odd, a[k][0], a[k][1], a[k][2], a[k][3], columns_of[0], columns_of[1]);
            }
        }
    }

    /// A warpgroup's share of a tile. `place`: which of the warpgroups' shares of a stage is this one's. `left`: steps of 64 inputs from the first stage to the
    /// inner dimension's end.
    static __device__ __forceinline__ void accumulate(Sums& d, Ring& ring, u32 shared, int place, int columns, int& left, int stages, Probe& probe)
    {
        const u32 own = threadIdx.x % 128 / 32 * kGroupBytes;
#pragma unroll 1
        for (int i = 0; i < stages; i++)
        {
            const u32 full = shared + TBlock::kBarrierBase + ring.stage * 8;
            probe.from();
            mbarrier_wait(full, ring.phase);
            probe.add(0);
            probe.mark(0);
            const u32 weights = shared + TBlock::kWeightBase + ring.stage * TBlock::kWeightBytes + own, tokens = shared + ring.stage * TBlock::kTokenBytes;
            multiply_steps(d, weights, tokens, columns, place * TBlock::kSteps, left - 1);
            left -= TBlock::kStageSteps;
            ring.advance();
            __syncwarp();
            if (threadIdx.x % 32 == 0)
            {
                mbarrier_arrive(full + TBlock::kStages * 8);
            }
        }
    }

    /// All of a short tile, by one warpgroup. `steps`: of 64 inputs.
    static __device__ __forceinline__ void accumulate_alone(Sums& d, Ring& ring, u32 shared, int columns, int steps, Probe& probe)
    {
        const u32 own = threadIdx.x % 128 / 32 * kGroupBytes;
#pragma unroll 1
        for (; steps > 0; steps -= TBlock::kStageSteps)
        {
            const u32 full = shared + TBlock::kBarrierBase + ring.stage * 8;
            probe.from();
            mbarrier_wait(full, ring.phase);
            probe.add(0);
            probe.mark(0);
            const int last = min(steps, TBlock::kStageSteps) - 1;
#pragma unroll 1
            for (int step = 0; step <= last; step += TBlock::kSteps)
            {
                multiply_steps(d, shared + TBlock::kWeightBase + ring.stage * TBlock::kWeightBytes + own, shared + ring.stage * TBlock::kTokenBytes, columns, step, last);
            }

            ring.advance();
            __syncwarp();
            if (threadIdx.x % 32 == 0)
            {
                // For the others' warps too, which let the stage go by.
#pragma unroll
                for (int i = 0; i < TBlock::kGroups; i++)
                {
                    mbarrier_arrive(full + TBlock::kStages * 8);
                }
            }
        }
    }

    /// The same of shared experts.
    static __device__ __forceinline__ void accumulate_shared(Sums& d, Ring& ring, u32 shared, int place, int columns, bool is_first, int stages, Probe& probe)
    {
        if constexpr (TBlock::kSharedIsE4M3)
        {
            accumulate_codes(d.even, ring, shared, place, columns, is_first, stages, probe);
        }
        else
        {
            accumulate_numbers(d, ring, shared, place, columns, stages, probe);
        }
    }

    /// E4M3. The inputs are dealt to the lanes in another order than the instruction's, weights and tokens alike.
    static __device__ __forceinline__ void accumulate_codes(float (&d)[TBlock::kColumns / 2], Ring& ring, u32 shared, int place, int columns, bool is_first, int stages,
                                                            Probe& probe)
    {
        const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, warp = threadIdx.x % 128 / 32, token = place * columns + g;
        const u32 row_at = place / 2 * TBlock::kSharedBoxBytes + (warp * kGroupRows + g) * 128 + ((place % 2 * 4 + t) ^ g) * 16;
        const u32 token_at = token * 128 + (t ^ token % 8) * 16, scale_at = TBlock::kSharedScaleBase + (warp * TBlock::kSharedSteps + place) * 16;
#pragma unroll 1
        for (int i = 0; i < stages; i++)
        {
            const u32 full = shared + TBlock::kBarrierBase + ring.stage * 8, weights = shared + TBlock::kWeightBase + ring.stage * TBlock::kWeightBytes;
            probe.from();
            mbarrier_wait(full, ring.phase);
            probe.add(0);
            probe.mark(0);
            const uint4 low = load_shared(weights + row_at), high = load_shared(weights + row_at + 8 * 128), scales = load_shared(weights + scale_at);
#pragma unroll
            for (int h = 0; h < 2; h++)
            {
                float sums[4] = {};
                mma_bf16_k32(sums, widen_e4m3(low, h), widen_e4m3(high, h), load_shared(shared + ring.stage * TBlock::kTokenBytes + (token_at ^ h * 64)));

                // Of the first product rows g and g + 8 are an even one and an odd one, of the second both are as g is.
                const float even = __uint_as_float(h == 0 ? scales.x : scales.z), odd = __uint_as_float(h == 0 ? scales.y : scales.w);
                const float scale = is_first || g % 2 == 0 ? even : odd, next_scale = is_first || g % 2 == 1 ? odd : even;
                d[0] += scale * sums[0];
                d[1] += scale * sums[1];
                d[2] += next_scale * sums[2];
                d[3] += next_scale * sums[3];
            }

            ring.advance();
            __syncwarp();
            if (lane == 0)
            {
                mbarrier_arrive(full + TBlock::kStages * 8);
            }
        }
    }

    /// BF16, which nobody widens.
    static __device__ __forceinline__ void accumulate_numbers(Sums& d, Ring& ring, u32 shared, int place, int columns, int stages, Probe& probe)
    {
        // Both operands are rows of 128 bytes, swizzled, of which 64 are this warpgroup's.
        const int lane = threadIdx.x % 32, step = place / 2, first_chunk = place % 2 * 4;
        const int row = threadIdx.x % 128 / 32 * kGroupRows + lane % 16, token = step * columns + lane % 8;
        const u32 row_at = step * TBlock::kSharedBoxBytes + row * 128 + ((first_chunk + lane / 16) ^ row % 8) * 16;
        const u32 token_at = token * 128 + ((first_chunk + lane / 8) ^ token % 8) * 16;
#pragma unroll 1
        for (int i = 0; i < stages; i++)
        {
            const u32 full = shared + TBlock::kBarrierBase + ring.stage * 8, weights = shared + TBlock::kWeightBase + ring.stage * TBlock::kWeightBytes + row_at;
            probe.from();
            mbarrier_wait(full, ring.phase);
            probe.add(0);
            probe.mark(0);
            u32 a[2][4], b[4];
            load_matrix_x4(a[0], weights);
            load_matrix_x4(a[1], weights ^ 32);
            load_matrix_x4(b, shared + ring.stage * TBlock::kTokenBytes + token_at);
            mma_bf16(d.even, a[0][0], a[0][1], a[0][2], a[0][3], b[0], b[1]);
            mma_bf16(d.odd, a[1][0], a[1][1], a[1][2], a[1][3], b[2], b[3]);
            ring.advance();
            __syncwarp();
            if (lane == 0)
            {
                mbarrier_arrive(full + TBlock::kStages * 8);
            }
        }
    }
};
