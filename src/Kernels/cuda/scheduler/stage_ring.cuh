// The ring of a pipeline's stages in shared memory: where a thread is, and the parity of the barriers there.
#pragma once
#include "ptx/types.cuh"

/// Whoever waits for full stages begins with {0, 0}, whoever waits for empty ones with {0, 1}.
template <int kStages>
struct StageRing
{
    static constexpr int kLength = kStages;
    int stage;
    u32 phase;

    __device__ __forceinline__ void advance()
    {
        stage++;
        if (stage == kStages)
        {
            stage = 0;
            phase ^= 1;
        }
    }

    /// At most all stages on.
    __device__ __forceinline__ void advance(int stages)
    {
        stage += stages;
        if (stage >= kStages)
        {
            stage -= kStages;
            phase ^= 1;
        }
    }

    /// Any number of stages on.
    __device__ __forceinline__ void skip(int stages)
    {
        phase ^= stages / kStages & 1;
        advance(stages % kStages);
    }
};
