// A block of the stream of weights (mxfp4_stream.cuh): its threads, its shared memory, and what all of its threads ask about a layer.
#pragma once
#include "impls/stream_list.cuh"
#include "impls/stream_parameters.cuh"
#include "scheduler/stage_ring.cuh"

/// kRingStages: of the ring. TParametersOf: with shared experts or without. TActivationOf: of both. The others as in Mxfp4Grouped.
template <int kRingStages, int kRegisters, int kHostSharedBytes, typename TRoundingOf, typename TParametersOf, typename TActivationOf,
          typename TDealingOf = DealtForBf16>
struct StreamBlock
{
    using TRounding = TRoundingOf;
    using TParameters = TParametersOf;
    using TActivation = TActivationOf;
    using TDealing = TDealingOf;
    static constexpr int kStages = kRingStages, kGroupRegisters = kRegisters;

    static constexpr bool kIsGated = TActivation::kNeuronRows == 2;
    static constexpr bool kHasShared = TParameters::kHasShared, kSharedIsE4M3 = TParameters::kSharedIsE4M3;
    using List = StreamList<TParameters>;
    static constexpr int kGroups = 4, kSteps = 2;  // warpgroups that multiply, and a warpgroup's steps of a stage
    static constexpr int kStagesBeforeStore = 4;   // of the next tile: by then the others have mostly done with this one
    static constexpr int kColumns = 8, kThreads = 128 * (kGroups + 1), kLoaderRegisters = 40;
    static constexpr int kStageSteps = StreamTile::kStageSteps, kStepBytes = kBandGroups * kGroupBytes;
    static constexpr int kWeightBytes = kStageSteps * kStepBytes, kTokenBytes = kStageSteps * kColumns * kGroupDepth * 2;
    static constexpr int kShareBytes = kColumns * kBandRows * 4, kSumBytes = kGroups * kShareBytes;  // a warpgroup's sums of a tile, and all warpgroups'
    static constexpr int kWeightBase = kStages * kTokenBytes, kSumBase = kWeightBase + kStages * kWeightBytes;
    static constexpr int kListBase = kSumBase + kGroups * kSumBytes, kBarrierBase = kListBase + List::kBytes;
    static constexpr int kSumBarrierBase = kBarrierBase + 2 * kStages * 8;
    static constexpr int kNumbersBase = kSumBarrierBase + 2 * kGroups * 8;
    static constexpr int kCountedBase = kNumbersBase + StreamTiles::kBytes, kSharedBytes = kCountedBase + kNumberSlots * 8 + 1024;  // 1024: to align the stages
    static constexpr int kRoundingBytes = TRounding::shared_bytes(kGroups, kColumns);
    static_assert(kSharedBytes == kHostSharedBytes && kSharedBytes <= 232448, "what the host asks for, and what a block may have");
    static_assert(kSharedBytes + kRoundingBytes + 1024 <= 233472, "a multiprocessor has room for the block");
    static_assert(kStageSteps == kGroups * kSteps, "all steps are somebody's");
    static_assert(kWeightBytes % 1024 == 0 && kStages + kGroups + 2 < kNumberSlots, "who draws is never further ahead of the readers");
    static_assert(kLoaderRegisters + kGroups * kGroupRegisters <= 65536 / kThreads / 8 * 8 * (kGroups + 1),
                  "a launch takes even shares of the registers; raising to more than is given back would wait for ever");

    // A stage of shared experts: two swizzled boxes of 128 bytes of 64 rows, which are 64 inputs of BF16 or 128 of E4M3, and E4M3's scales behind them.
    static constexpr int kSharedBoxes = 2, kSharedSteps = kSharedIsE4M3 ? 4 : 2, kSharedBoxBytes = kBandRows * 128;
    static constexpr int kSharedBoxDepth = kSharedSteps * kGroupDepth / kSharedBoxes;
    static constexpr int kSharedScaleBase = kSharedBoxes * kSharedBoxBytes, kSharedScaleBytes = kSharedIsE4M3 ? kSharedSteps * kBandGroups * 16 : 0;
    static_assert(kSharedScaleBase + kSharedScaleBytes <= kWeightBytes && kSharedBoxes * 2 == kGroups, "a stage has room, and each warpgroup half a box");

    using Ring = StageRing<kStages>;

    /// What a launch waits for that has shared experts waits only before tiles of others: of what those need it is older.
    struct Routed
    {
        bool has_waited = false;

        __device__ __forceinline__ void wait_for(bool is_shared)
        {
            if (kHasShared && !is_shared && !has_waited)
            {
                wait_for_previous_launch();
                has_waited = true;
            }
        }
    };

    static __device__ __forceinline__ void wait_unless_shared()
    {
        if (!kHasShared)
        {
            wait_for_previous_launch();
        }
    }

    static __device__ __forceinline__ bool is_shared(const StreamTile& tile) { return kHasShared && tile.is_shared(); }

    static __device__ __forceinline__ const SharedStreamProduct& shared_product(const TParameters& q, bool is_first)
    {
        return is_first ? q.shared_first : q.shared_second;
    }

    static __device__ __forceinline__ int shared_stages(const SharedStreamProduct& p) { return ceil_div(p.depth, kSharedSteps * kGroupDepth); }

    /// As if shared experts were an expert of number 0.
    static __device__ __forceinline__ ProductCounters shared_counter(const TParameters& q) { return {q.shared_stored - 2}; }
};
