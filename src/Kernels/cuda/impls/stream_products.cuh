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

    /// Where a lane finds its operands of kSteps steps, in the first stage of the ring.
    struct Operands
    {
        u32 codes, scales;  // of its warp's 16 rows: the first step's, which those of the next ones follow
        u32 tokens[TBlock::kSteps][2];

        __device__ __forceinline__ Operands(u32 shared, u32 first_step, u32 columns)
        {
            static_assert(TBlock::kSteps == 2, "multiply knows which steps there are");
            const u32 lane = threadIdx.x % 32, group = shared + TBlock::kWeightBase + threadIdx.x % 128 / 32 * kGroupBytes + first_step * TBlock::kStepBytes;
            codes = pinned(group + lane * 16);
            scales = pinned(group + kGroupCodeBytes + lane / 4 * 4);
#pragma unroll
            for (int i = 0; i < TBlock::kSteps; i++)
            {
                // Rows of 128 bytes, swizzled: lane 8j + r gives row r of inputs 8j … 8j + 7. Bit 6 leads to those 32 inputs further.
                const u32 row = (first_step + i) * columns + lane % 8, at = row * 128 + (lane / 8 ^ row % 8) * 16;
                tokens[i][0] = pinned(shared + at);
                tokens[i][1] = pinned(shared + (at ^ 64));
            }
        }
    };

    /// A warp's product of kSteps steps of a stage, of which `left` are within the inner dimension, at least one. Beyond it the tokens are 0, and weights may
    /// be anything, of which a scale of 0 makes numbers. Each warp multiplies 16 rows by itself, with the matrix instruction of a warp: that of a warpgroup
    /// takes its rows out of registers in 16 cycles, however few columns there are.
    static __device__ __forceinline__ void multiply_steps(Sums& d, const Operands& at, u32 stage, int left)
    {
        const u32 codes = at.codes + stage * TBlock::kWeightBytes, scales = at.scales + stage * TBlock::kWeightBytes, tokens = stage * TBlock::kTokenBytes;
        PackedStep packed[TBlock::kSteps];
        u32 b[TBlock::kSteps][2][4];
#pragma unroll
        for (int step = 0; step < TBlock::kSteps; step++)
        {
            packed[step] = {load_shared(codes + step * TBlock::kStepBytes), load_shared_word(scales + step * TBlock::kStepBytes)};
            load_matrix_x4(b[step][0], tokens + at.tokens[step][0]);
            load_matrix_x4(b[step][1], tokens + at.tokens[step][1]);
        }

        packed[1].scales = left > 1 ? packed[1].scales : 0;
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

    /// A warpgroup's share of a tile's next stages. `left`: steps of 64 inputs from the share's first one to the inner dimension's end, which may come before
    /// the last stage's share.
    static __device__ __forceinline__ void accumulate(Sums& d, Ring& ring, u32 shared, const Operands& at, int& left, int stages, Probe& probe)
    {
        const int end = left - stages * TBlock::kStageSteps;
#pragma unroll 1
        while (left != end)
        {
            const u32 full = shared + TBlock::kBarrierBase + ring.stage * 8;
            probe.from();
            mbarrier_wait(full, ring.phase);
            probe.add(0);
            probe.mark(0);
            if (left > 0)
            {
                multiply_steps(d, at, ring.stage, left);
            }

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
#pragma unroll 1
        for (; steps > 0; steps -= TBlock::kStageSteps)
        {
            const u32 full = shared + TBlock::kBarrierBase + ring.stage * 8;
            probe.from();
            mbarrier_wait(full, ring.phase);
            probe.add(0);
            probe.mark(0);
            const int end = min(steps, TBlock::kStageSteps);
#pragma unroll 1
            for (int step = 0; step < end; step += TBlock::kSteps)
            {
                multiply_steps(d, Operands(shared, step, columns), ring.stage, end - step);
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
