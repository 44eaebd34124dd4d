// Both products of an MXFP4 mixture-of-experts layer for up to 8 tokens in one launch, on sm_90a, as one stream of weights.
//
// One block a multiprocessor. Its four warpgroups share each tile of 64 weight rows: each multiplies two of the eight steps of every stage, and the sums
// meet in shared memory, in the warpgroups' order. So a tile takes an SM a few microseconds, the SMs go through the experts one after the other, and an
// expert is finished long before its tiles of the second product come: memory never waits for the end of the first.
//
// A tile of few inputs, up to kShortStages stages, is one warpgroup's alone, the next one the next warpgroup's: what a tile costs each warp that has a part in it is
// as many instructions as two stages, and four times that for each stage or two is more than the schedulers can issue while memory brings them.
//
// All tiles are one list, the first product's before the second's, and every block draws each of its tiles from it by a ticket, its first one too. So
// whoever waits, waits for tiles that running blocks have drawn: blocks need not all be there at once. The thread that draws finds the tile in the list, and
// hands the others what they have to know of it.
//
// Shared experts are one expert more, BF16 or E4M3, whose tiles of the first product need nothing of the router: the first of all.
//
// One thread brings the weights, a stage of 17 KB in one copy, and waits for nothing but room; another brings the tokens, and waits for experts; a third
// counts what has been stored. Which steps of a tile a warpgroup multiplies is the same whatever came before, so results are the same bit for bit. The sums
// of a tile are added and stored by one warpgroup, the next tile's by the next one, while the others go on. It does so when it has begun with the next
// tile: else each tile's end would wait for that of the tile before, for who stores that one is late. But where it would only wait, it stores at once.
//
// No rows are brought into order before: the tokens are one box, whose columns every tile multiplies. The epilogue of the first product stores the columns
// of its expert's pairs; the second product reads them in the pairs' order. A box has as many rows as there are tokens, for what is read beyond them comes
// from L2 like everything else; what lies in the other columns is anything, and is not stored. An expert has at most as many pairs, unless a token names it
// twice: then it is in the list several times.
#pragma once
#include "epilogue/shared_gate.cuh"
#include "formats/e4m3.cuh"
#include "impls/mxfp4_grouped.cuh"
#include "routing/sort.cuh"

/// One of the two products.
struct StreamProduct
{
    const char* weights;  // mxfp4.cuh
    const float* bias;    // [experts, rows], or null
    const float* factor;  // [experts, rows], or null where all are 1
    u16* out;             // first: BF16 [sorted pairs, out_stride]; second: BF16 [pairs, out_stride], without router weight
    i64 out_stride;       // elements, a multiple of 8
    int rows;             // first: 2 · intermediate, or intermediate without gates; second: hidden; a multiple of 16
    int depth;            // inner dimension, a multiple of 64
};

struct Mxfp4StreamParameters
{
    static constexpr bool kHasShared = false, kSharedIsE4M3 = false;
    TensorMap tokens;           // BF16 {64, tokens, depth / 64} of the first product, box {64, columns, kStageSteps}, 128-byte swizzle
    TensorMap act;              // the first product's results, likewise
    StreamProduct first, second;
    const u32* early_offsets;   // [experts + 1]: of SortTarget, which the launch before may still be writing
    const int* sorted_pairs;    // [pairs], a pair is token · top_k + k
    ProductCounters counters;   // 0 before
    int* ticket;                // 0 before the first launch; each launch leaves 0
    int experts;                // at most StreamList::kMostExperts
    int top_k;
    int columns;                // tokens, 1 to 8
    Activation activation;
};

/// One matrix of shared experts, [rows, depth].
struct SharedStreamProduct
{
    TensorMap weights;    // {depth, 8, 2, rows / 16}, box {128 bytes, 8, 2, 4}, 128-byte swizzle; first: the gates of 8 neurons, then their ups
    TensorMap scales;     // of E4M3: {depth / 16, rows / 16} (e4m3.cuh), box {16, 4}
    TensorMap tokens;     // BF16 {64, tokens, depth / 64}, box {64, columns, steps of a stage}, 128-byte swizzle
    const float* factor;  // [rows], or null where all are 1
    void* out;            // first: BF16 [tokens, intermediate]; second: float32 [tokens, rows]
    int rows;             // a multiple of 64
    int depth;            // a multiple of 64
};

/// A stream with shared experts in it: one expert that every token goes to, without biases. kE4M3: their weights are E4M3 codes; else BF16.
template <bool kE4M3>
struct Mxfp4SharedStreamParameters : Mxfp4StreamParameters
{
    static constexpr bool kHasShared = true, kSharedIsE4M3 = kE4M3;
    SharedStreamProduct shared_first, shared_second;
    int* shared_stored;  // SortTarget::early_counter: tiles of the first product that have been stored
    const u16* x;        // BF16 [columns, x_stride]: their tokens
    i64 x_stride;        // elements
    const float* gate;   // [hidden], or null: each token's sum is multiplied by sigmoid(x · gate) later
    float* opened;       // [columns]: that
    Activation shared_activation;
};

/// A tile, as one thread of a block finds it and hands it to the others.
struct StreamTile
{
    int row;     // of its weights, the first; less than 0: there are no more tiles
    int kind;    // of kFirst, kShared and kShort, and its stages · kStages
    int expert;  // and boxes of it · 65536; of routed experts
    int pairs;   // the first sorted pair · 16 + their number

    static constexpr int kFirst = 1, kShared = 2, kShort = 4, kStages = 8;

    __device__ __forceinline__ bool is_there() const { return row >= 0; }
    __device__ __forceinline__ bool is_first() const { return kind & kFirst; }
    __device__ __forceinline__ bool is_shared() const { return kind & kShared; }
    __device__ __forceinline__ bool is_short() const { return kind & kShort; }
    __device__ __forceinline__ int stages() const { return kind / kStages; }

    /// As the epilogues of a warpgroup know it, all of whose rows are its own, whichever it is.
    __device__ __forceinline__ Tile rows_of(int group) const { return {expert & 0xffff, row - group * kBandRows, pairs / 16, pairs % 16, 0}; }
};

using StreamTiles = TileSlots<StreamTile>;

/// All tiles of both products: those of one expert are neighbours. Only experts with pairs are in the table, once for each box of them. Who asks for tiles
/// asks in rising order. With shared experts their tiles are the first ones of each product: those of the first need nothing of the table.
template <typename TParameters>
struct StreamList
{
    const int2* active;  // {expert + boxes of it · 65536, its first sorted pair · 16 + its pairs}, in shared memory
    const TParameters& q;

    static constexpr int kMostExperts = 512, kBytes = (kMostExperts + 2) * 8;  // whole 16 bytes

    /// One warp makes the table, when the offsets have come; the number of its entries stands behind its last place.
    static __device__ __forceinline__ void prepare(int2* active, const u32* early_offsets, int experts, int columns)
    {
        constexpr int kAtOnce = 8;
        const int lane = threadIdx.x % 32;
        int count = 0;
#pragma unroll 1
        for (int base = 0; base < experts; base += 32 * kAtOnce)
        {
            int begin[kAtOnce + 1];
            bool lacks;
            do
            {
                lacks = false;
#pragma unroll
                for (int i = 0; i <= kAtOnce; i++)
                {
                    begin[i] = load_relaxed_if(base + 32 * i + lane <= experts, early_offsets + base + lane + 32 * i);
                    lacks |= begin[i] == (int)kNoOffset;
                }
            } while (__ballot_sync(~0u, lacks) != 0);

#pragma unroll
            for (int i = 0; i < kAtOnce; i++)
            {
                if (base + 32 * i >= experts)
                {
                    break;
                }

                // The next expert's begin, which is the next lane's.
                const int own_end = __shfl_sync(~0u, begin[i], (lane + 1) % 32), last_end = __shfl_sync(~0u, begin[i + 1], 0), end = lane == 31 ? last_end : own_end;
                int boxes = end > begin[i];
                if (end - begin[i] > columns)
                {
                    boxes = ceil_div(end - begin[i], columns);
                }

#pragma unroll 1
                for (int box = 0;; box++)
                {
                    const u32 others = __ballot_sync(~0u, box < boxes);
                    if (others == 0)
                    {
                        break;
                    }

                    const int first = begin[i] + box * columns;
                    if (box < boxes)
                    {
                        active[count + __popc(others & ((1u << lane) - 1))] = make_int2(base + 32 * i + lane + (boxes << 16), first * 16 + min(end - first, columns));
                    }

                    count += __popc(others);
                }
            }
        }

        if (lane == 0)
        {
            active[kMostExperts].x = count;
        }
    }

    /// An expert's tiles of a product.
    __device__ __forceinline__ int first_stripes() const { return ceil_div(q.first.rows, kBandRows); }
    __device__ __forceinline__ int second_stripes() const { return ceil_div(q.second.rows, kBandRows); }

    /// Shared experts' tiles of a product.
    __device__ __forceinline__ int shared_firsts() const { return q.shared_first.rows / kBandRows; }
    __device__ __forceinline__ int shared_seconds() const { return q.shared_second.rows / kBandRows; }

    /// All of them.
    __device__ __forceinline__ int tiles() const
    {
        int all = active[kMostExperts].x * (first_stripes() + second_stripes());
        if constexpr (TParameters::kHasShared)
        {
            all += shared_firsts() + shared_seconds();
        }

        return all;
    }

    int place = 0, begin = 0;  // of the tile that was found last: its entry of the table, and the number of that entry's first tile
    bool is_first = true;      // whether it is one of the first product

    /// A tile of shared experts.
    static __device__ __forceinline__ StreamTile shared_tile(int number, bool is_first, int stages, int columns)
    {
        return {number * kBandRows, (is_first ? StreamTile::kFirst : 0) + StreamTile::kShared + stages * StreamTile::kStages, 0, columns};
    }

    /// The tile of a number that is no shared expert's first product's. Kinds are those of routed experts' tiles; `shared_stages`: of the second
    /// product's tiles of shared experts.
    __device__ __forceinline__ StreamTile find(int number, int first_kind, int second_kind, int shared_stages)
    {
        constexpr StreamTile kNone = {-1, 0, 0, 0};
        if constexpr (TParameters::kHasShared)
        {
            number -= shared_firsts();
        }

        const int count = active[kMostExperts].x, firsts = count * first_stripes();
        if (is_first && number >= firsts)
        {
            is_first = false;
            place = 0;
            begin = firsts;
        }

        if constexpr (TParameters::kHasShared)
        {
            if (!is_first && number - firsts < shared_seconds())
            {
                return shared_tile(number - firsts, false, shared_stages, q.columns);
            }

            number -= is_first ? 0 : shared_seconds();
        }

        // No division: a number lies few entries behind the one before.
        const int tiles = is_first ? first_stripes() : second_stripes();
        while (number - begin >= tiles)
        {
            begin += tiles;
            if (++place == count)
            {
                return kNone;
            }
        }

        if (place >= count)
        {
            return kNone;
        }

        const int2 own = active[place];
        return {(number - begin) * kBandRows, is_first ? first_kind : second_kind, own.x, own.y};
    }
};

/// kStages: of the ring. TParameters: with shared experts or without. TActivation: of both. The others as in Mxfp4Grouped.
template <int kStages, int kGroupRegisters, int kHostSharedBytes, typename TRounding, typename TParameters, typename TActivation, typename TDealing = DealtForBf16>
struct Mxfp4Stream
{
    static constexpr bool kIsGated = TActivation::kNeuronRows == 2;
    static constexpr bool kHasShared = TParameters::kHasShared, kSharedIsE4M3 = TParameters::kSharedIsE4M3;
    using List = StreamList<TParameters>;
    static constexpr int kGroups = 4, kSteps = 2;  // warpgroups that multiply, and a warpgroup's steps of a stage
    static constexpr int kStagesBeforeStore = 4;   // of the next tile: by then the others have mostly done with this one
    static constexpr int kShortStages = 2;         // a tile of so many stages is one warpgroup's alone: the ring has room for three of them
    static constexpr int kColumns = 8, kThreads = 128 * (kGroups + 1), kLoaderRegisters = 40;
    static constexpr int kStageSteps = kGroups * kSteps, kStepBytes = kBandGroups * kGroupBytes;
    static constexpr int kWeightBytes = kStageSteps * kStepBytes, kTokenBytes = kStageSteps * kColumns * kGroupDepth * 2;
    static constexpr int kOutBytes = 2048, kSumBytes = (kGroups - 1) * kColumns * kBandRows * 4;  // a warpgroup's results, and the others' sums of its tile
    static constexpr int kWeightBase = kStages * kTokenBytes, kOutBase = kWeightBase + kStages * kWeightBytes;
    static constexpr int kSumBase = kOutBase + kGroups * kOutBytes, kListBase = kSumBase + kGroups * kSumBytes;
    static constexpr int kPairsBase = kListBase + List::kBytes;
    static constexpr int kBarrierBase = kPairsBase + kGroups * kColumns * 4, kSumBarrierBase = kBarrierBase + 2 * kStages * 8;
    static constexpr int kNumbersBase = kSumBarrierBase + 2 * kGroups * 8;
    static constexpr int kCountedBase = kNumbersBase + StreamTiles::kBytes, kSharedBytes = kCountedBase + kNumberSlots * 8 + 1024;  // 1024: to align the stages
    static constexpr int kRoundingBytes = TRounding::shared_bytes(kGroups, kOutBytes / 64);
    static_assert(kSharedBytes == kHostSharedBytes && kSharedBytes <= 232448, "what the host asks for, and what a block may have");
    static_assert(kSharedBytes + kRoundingBytes + 1024 <= 233472, "a multiprocessor has room for the block");
    static_assert(kWeightBytes % 1024 == 0 && kStages + kGroups + 2 < kNumberSlots, "who draws is never further ahead of the readers");
    static_assert(kLoaderRegisters + kGroups * kGroupRegisters <= 65536 / kThreads / 8 * 8 * (kGroups + 1),
                  "a launch takes even shares of the registers; raising to more than is given back would wait for ever");

    // A stage of shared experts: two swizzled boxes of 128 bytes of 64 rows, which are 64 inputs of BF16 or 128 of E4M3, and E4M3's scales behind them.
    static constexpr int kSharedBoxes = 2, kSharedSteps = kSharedIsE4M3 ? 4 : 2, kSharedBoxBytes = kBandRows * 128, kSharedBoxDepth = kSharedSteps * kGroupDepth / kSharedBoxes;
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

    static __device__ __forceinline__ const SharedStreamProduct& shared_product(const TParameters& q, bool is_first)
    {
        return is_first ? q.shared_first : q.shared_second;
    }

    static __device__ __forceinline__ int shared_stages(const SharedStreamProduct& p) { return ceil_div(p.depth, kSharedSteps * kGroupDepth); }

    /// Steps of 64 inputs of a product.
    static __device__ __forceinline__ int steps_of(const TParameters& q, bool is_first)
    {
        return ceil_div(is_first ? q.first.depth : q.second.depth, kGroupDepth);
    }

    /// What all tiles of a product of routed experts are.
    static __device__ __forceinline__ int kind_of(const TParameters& q, bool is_first)
    {
        const int stages = ceil_div(steps_of(q, is_first), kStageSteps);
        return (is_first ? StreamTile::kFirst : 0) + (stages <= kShortStages ? StreamTile::kShort : 0) + stages * StreamTile::kStages;
    }

    /// Draws the tiles and brings their weights, which wait for nothing but room. One warp, of which one thread does so. It begins before the launch before
    /// is done, with the experts that it has chosen: weights are older than both.
    static __device__ __forceinline__ Probe load_weights(const TParameters& q, List list, int2* active, StreamTiles tiles, u32 shared)
    {
        Probe probe;  // mark: first weights asked for; sum: waits for empty stages
        probe.begin();
        Ring ring = {0, 1};
        int number = threadIdx.x % 32 == 0 ? atomicAdd(q.ticket, 1) : 0;
        auto hand_out = [&](const StreamTile& tile) {
            // All readers of a slot but the thread that counts are held by the ring's stages.
            if (tiles.taken >= kNumberSlots)
            {
                mbarrier_wait(shared + kCountedBase + tiles.taken % kNumberSlots * 8, (tiles.taken / kNumberSlots & 1) ^ 1);
            }

            tiles.hand_out(tile);
            tiles.taken++;
        };
        int since_short = kStages;  // stages since the last short tile, at most all
        auto load_stages = [&](const StreamTile& tile, const auto& load_stage) {
            // Warpgroups let others' short tiles by without waiting for their stages, and a barrier tells by parity alone which phase is over: who waits for
            // a stage whose phase before is not over either would read at once. So where that phase may be a short tile's, it is over before the tile is known.
            Ring ahead = ring;
#pragma unroll 1
            for (int i = min(tile.stages(), kStages - since_short); i > 0; i--)
            {
                mbarrier_wait(shared + kBarrierBase + (kStages + ahead.stage) * 8, ahead.phase);
                ahead.advance();
            }

            since_short = tile.is_short() ? 0 : min(since_short + tile.stages(), kStages);
            hand_out(tile);
#pragma unroll 1
            for (int i = 0; i < tile.stages(); i++)
            {
                if (i == tile.stages() - 1)
                {
                    // The answer comes while the last stage is waited for. Not sooner: whoever is slower shall leave tiles to others.
                    number = atomicAdd(q.ticket, 1);
                }

                const u32 full = shared + kBarrierBase + ring.stage * 8;
                probe.from();
                mbarrier_wait(full + kStages * 8, ring.phase);
                probe.add(0);
                probe.mark(0);
                load_stage(i, full, shared + kWeightBase + ring.stage * kWeightBytes);
                ring.advance();
            }

            probe.tile();
        };
        if constexpr (kHasShared)
        {
            while (threadIdx.x % 32 == 0 && number < list.shared_firsts())
            {
                load_shared_tile(q, List::shared_tile(number, true, shared_stages(q.shared_first), q.columns), policy_evict_first(), load_stages);
            }

            __syncwarp();
        }

        List::prepare(active, q.early_offsets, q.experts, q.columns);
        __syncwarp();
        if (threadIdx.x % 32 != 0)
        {
            return probe;
        }

        const u64 policy = policy_evict_first();
        const int first_kind = kind_of(q, true), second_kind = kind_of(q, false);
        int stages_of_shared = 0;
        if constexpr (kHasShared)
        {
            stages_of_shared = shared_stages(q.shared_second);
        }

        while (true)
        {
            const StreamTile tile = list.find(number, first_kind, second_kind, stages_of_shared);
            if (!tile.is_there())
            {
                hand_out(tile);
                break;
            }

            if constexpr (kHasShared)
            {
                if (tile.is_shared())
                {
                    load_shared_tile(q, tile, policy, load_stages);
                    continue;
                }
            }

            const StreamProduct& p = tile.is_first() ? q.first : q.second;
            const int steps = steps_of(q, tile.is_first());
            const char* from = p.weights + (tile.expert & 0xffff) * expert_bytes(p.rows, steps) + (i64)(tile.row / kBandRows) * steps * kStepBytes;
            load_stages(tile, [&](int i, u32 full, u32 to) {
                const u32 bytes = min(steps - i * kStageSteps, kStageSteps) * kStepBytes;
                mbarrier_arrive_expect(full, bytes);
                bulk_load(to, from, bytes, full, policy);
                from += kWeightBytes;
            });
        }

        // Whoever draws the last number of all leaves the ticket as it was. The next launch begins only when all blocks have drawn their last.
        if (number == list.tiles() + (int)gridDim.x - 1)
        {
            store_relaxed((u32*)q.ticket, 0);
            __threadfence();
        }

        wait_for_previous_launch();
        allow_next_launch();
        return probe;
    }

    /// load_stages(tile, load_stage(stage, barrier, where it goes)).
    template <typename TLoadStages>
    static __device__ __forceinline__ void load_shared_tile(const TParameters& q, const StreamTile& tile, u64 policy, const TLoadStages& load_stages)
    {
        const SharedStreamProduct& p = shared_product(q, tile.is_first());
        load_stages(tile, [&](int i, u32 full, u32 to) {
            mbarrier_arrive_expect(full, kSharedScaleBase + kSharedScaleBytes);
#pragma unroll
            for (int box = 0; box < kSharedBoxes; box++)
            {
                tma_load_4d(to + box * kSharedBoxBytes, &p.weights, full, (i * kSharedBoxes + box) * kSharedBoxDepth, 0, 0, tile.row / kGroupRows, policy);
            }

            if (kSharedIsE4M3)
            {
                tma_load_2d(to + kSharedScaleBase, &p.scales, full, i * kSharedSteps * 4, tile.row / kGroupRows);
            }
        });
    }

    /// Brings the tokens of all tiles: those of the second product when the first has finished their expert. One thread.
    static __device__ __forceinline__ Probe load_tokens(const TParameters& q, const List& list, StreamTiles tiles, u32 shared)
    {
        Ring ring = {0, 1};
        int complete = -1;
        [[maybe_unused]] Routed routed;
        Probe probe;  // marks: first tokens asked for, first tile of the second product; sums: waits for empty stages, for experts, for tiles' numbers
        probe.begin();
        wait_unless_shared();
        if (kHasShared)
        {
            // Rows that older launches wrote: nothing else stands between those and this one.
            fence_async_proxy_global();
        }

        while (true)
        {
            probe.from();
            const StreamTile tile = tiles.take();
            probe.add(2);
            if (!tile.is_there())
            {
                return probe;
            }

            const TensorMap* rows = tile.is_first() ? &q.tokens : &q.act;
            const int stages = tile.stages(), row = tile.is_first() ? 0 : tile.pairs / 16;
            int steps = kStageSteps;
            routed.wait_for(tile.is_shared());
            if constexpr (kHasShared)
            {
                if (tile.is_shared())
                {
                    rows = &shared_product(q, tile.is_first()).tokens;
                    steps = kSharedSteps;
                    if (!tile.is_first())
                    {
                        shared_counter(q).wait_stored(0, list.shared_firsts());
                    }
                }
            }

            const u32 bytes = steps * q.columns * kGroupDepth * 2;
            if (!tile.is_first() && !tile.is_shared() && tile.expert != complete)
            {
                complete = tile.expert;
                probe.mark(1);
                probe.from();
                q.counters.wait_stored(tile.expert & 0xffff, (tile.expert >> 16) * list.first_stripes());
                probe.add(1);
            }

#pragma unroll 1
            for (int i = 0; i < stages; i++)
            {
                const u32 full = shared + kBarrierBase + ring.stage * 8;
                probe.from();
                mbarrier_wait(full + kStages * 8, ring.phase);
                probe.add(0);
                probe.mark(0);
                mbarrier_arrive_expect(full, bytes);
                tma_load_3d(shared + ring.stage * kTokenBytes, rows, full, 0, row, i * steps);
                ring.advance();
            }

            probe.tile();
        }
    }

    /// Counts the tiles of the first product that have been stored. One thread: it takes a microsecond, which those that multiply do not have.
    static __device__ __forceinline__ void count_stored(const TParameters& q, StreamTiles tiles, u32 shared)
    {
        wait_unless_shared();
        [[maybe_unused]] Routed routed;
        for (int index = 0;; index++)
        {
            const StreamTile tile = tiles.take();
            if (!tile.is_there())
            {
                return;
            }

            if (tile.is_first())
            {
                tiles.wait_stored(index);
                routed.wait_for(tile.is_shared());
                if (tile.is_shared())
                {
                    add_shared_stored(q);
                }
                else
                {
                    q.counters.add_stored(tile.expert & 0xffff);
                }
            }

            mbarrier_arrive(shared + kCountedBase + index % kNumberSlots * 8);
        }
    }

    static __device__ __forceinline__ void add_shared_stored(const TParameters& q)
    {
        if constexpr (kHasShared)
        {
            shared_counter(q).add_stored(0);
        }
    }

    /// As if shared experts were an expert of number 0.
    static __device__ __forceinline__ ProductCounters shared_counter(const TParameters& q) { return {q.shared_stored - 2}; }

    /// A warp's sums, of every other instruction each, so that none waits for the one before. They meet at the tile's end alone: where a warpgroup stores
    /// another tile in between depends on which blocks drew which tiles, and must not change the order of the additions.
    struct Sums
    {
        float even[kColumns / 2], odd[kColumns / 2];
    };

    /// A warp's product of kSteps steps of a stage. Beyond the `last` one of the inner dimension the tokens are 0, and any weights will do. Each warp multiplies
    /// 16 rows by itself, with the matrix instruction of a warp: that of a warpgroup takes its rows out of registers in 16 cycles, however few columns there are.
    static __device__ __forceinline__ void multiply_steps(Sums& d, u32 weights, u32 tokens, int columns, int first_step, int last)
    {
        const int lane = threadIdx.x % 32;
        PackedStep packed[kSteps];
        u32 b[kSteps][2][4];
#pragma unroll
        for (int step = 0; step < kSteps; step++)
        {
            // Rows of 128 bytes, swizzled: lane 8j + r gives row r of inputs 8j … 8j + 7. Bit 6 leads to those 32 inputs further.
            const int row = (first_step + step) * columns + lane % 8;
            const u32 at = row * 128 + (lane / 8 ^ row % 8) * 16;
            packed[step] = load_step(weights + min(first_step + step, last) * kStepBytes);
            load_matrix_x4(b[step][0], tokens + at);
            load_matrix_x4(b[step][1], tokens + (at ^ 64));
        }

#pragma unroll
        for (int step = 0; step < kSteps; step++)
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
            const u32 full = shared + kBarrierBase + ring.stage * 8;
            probe.from();
            mbarrier_wait(full, ring.phase);
            probe.add(0);
            probe.mark(0);
            multiply_steps(d, shared + kWeightBase + ring.stage * kWeightBytes + own, shared + ring.stage * kTokenBytes, columns, place * kSteps, left - 1);
            left -= kStageSteps;
            ring.advance();
            __syncwarp();
            if (threadIdx.x % 32 == 0)
            {
                mbarrier_arrive(full + kStages * 8);
            }
        }
    }

    /// All of a short tile, by one warpgroup. `steps`: of 64 inputs.
    static __device__ __forceinline__ void accumulate_alone(Sums& d, Ring& ring, u32 shared, int columns, int steps, Probe& probe)
    {
        const u32 own = threadIdx.x % 128 / 32 * kGroupBytes;
#pragma unroll 1
        for (; steps > 0; steps -= kStageSteps)
        {
            const u32 full = shared + kBarrierBase + ring.stage * 8;
            probe.from();
            mbarrier_wait(full, ring.phase);
            probe.add(0);
            probe.mark(0);
            const int last = min(steps, kStageSteps) - 1;
#pragma unroll 1
            for (int step = 0; step <= last; step += kSteps)
            {
                multiply_steps(d, shared + kWeightBase + ring.stage * kWeightBytes + own, shared + ring.stage * kTokenBytes, columns, step, last);
            }

            ring.advance();
            __syncwarp();
            if (threadIdx.x % 32 == 0)
            {
                // For the others' warps too, which let the stage go by.
#pragma unroll
                for (int i = 0; i < kGroups; i++)
                {
                    mbarrier_arrive(full + kStages * 8);
                }
            }
        }
    }

    /// The same of shared experts.
    static __device__ __forceinline__ void accumulate_shared(Sums& d, Ring& ring, u32 shared, int place, int columns, bool is_first, int stages, Probe& probe)
    {
        if constexpr (kSharedIsE4M3)
        {
            accumulate_codes(d.even, ring, shared, place, columns, is_first, stages, probe);
        }
        else
        {
            accumulate_numbers(d, ring, shared, place, columns, stages, probe);
        }
    }

    /// E4M3. The inputs are dealt to the lanes in another order than the instruction's, weights and tokens alike.
    static __device__ __forceinline__ void accumulate_codes(float (&d)[kColumns / 2], Ring& ring, u32 shared, int place, int columns, bool is_first, int stages, Probe& probe)
    {
        const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, warp = threadIdx.x % 128 / 32, token = place * columns + g;
        const u32 row_at = place / 2 * kSharedBoxBytes + (warp * kGroupRows + g) * 128 + ((place % 2 * 4 + t) ^ g) * 16;
        const u32 token_at = token * 128 + (t ^ token % 8) * 16, scale_at = kSharedScaleBase + (warp * kSharedSteps + place) * 16;
#pragma unroll 1
        for (int i = 0; i < stages; i++)
        {
            const u32 full = shared + kBarrierBase + ring.stage * 8, weights = shared + kWeightBase + ring.stage * kWeightBytes;
            probe.from();
            mbarrier_wait(full, ring.phase);
            probe.add(0);
            probe.mark(0);
            const uint4 low = load_shared(weights + row_at), high = load_shared(weights + row_at + 8 * 128), scales = load_shared(weights + scale_at);
#pragma unroll
            for (int h = 0; h < 2; h++)
            {
                float sums[4] = {};
                mma_bf16_k32(sums, widen_e4m3(low, h), widen_e4m3(high, h), load_shared(shared + ring.stage * kTokenBytes + (token_at ^ h * 64)));

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
                mbarrier_arrive(full + kStages * 8);
            }
        }
    }

    /// BF16, which nobody widens.
    static __device__ __forceinline__ void accumulate_numbers(Sums& d, Ring& ring, u32 shared, int place, int columns, int stages, Probe& probe)
    {
        // Both operands are rows of 128 bytes, swizzled, of which 64 are this warpgroup's.
        const int lane = threadIdx.x % 32, step = place / 2, first_chunk = place % 2 * 4;
        const int row = threadIdx.x % 128 / 32 * kGroupRows + lane % 16, token = step * columns + lane % 8;
        const u32 row_at = step * kSharedBoxBytes + row * 128 + ((first_chunk + lane / 16) ^ row % 8) * 16;
        const u32 token_at = token * 128 + ((first_chunk + lane / 8) ^ token % 8) * 16;
#pragma unroll 1
        for (int i = 0; i < stages; i++)
        {
            const u32 full = shared + kBarrierBase + ring.stage * 8, weights = shared + kWeightBase + ring.stage * kWeightBytes + row_at;
            probe.from();
            mbarrier_wait(full, ring.phase);
            probe.add(0);
            probe.mark(0);
            u32 a[2][4], b[4];
            load_matrix_x4(a[0], weights);
            load_matrix_x4(a[1], weights ^ 32);
            load_matrix_x4(b, shared + ring.stage * kTokenBytes + token_at);
            mma_bf16(d.even, a[0][0], a[0][1], a[0][2], a[0][3], b[0], b[1]);
            mma_bf16(d.odd, a[1][0], a[1][1], a[1][2], a[1][3], b[2], b[3]);
            ring.advance();
            __syncwarp();
            if (lane == 0)
            {
                mbarrier_arrive(full + kStages * 8);
            }
        }
    }

    static __device__ __forceinline__ bool all_lanes(bool condition) { return __ballot_sync(~0u, !condition) == 0; }

    /// A tile that this warpgroup has still to store.
    struct Pending
    {
        Tile rows;
        int index;  // of the block's tiles
        int use;    // parity of the buffer of sums' use; less than 0: there are no others' sums
        bool is_first, is_shared;
        float d[kColumns / 2];
        float2 bias;
    };

    static __device__ __forceinline__ float4* sums_for(char* shared, int storing, int group)
    {
        return (float4*)(shared + kSumBase + storing * kSumBytes) + ((group - storing - 1) & (kGroups - 1)) * (kColumns * kBandRows / 4) + threadIdx.x % 128;
    }

    /// Hands this warpgroup's sums to the one that stores the tile.
    static __device__ __forceinline__ void hand_over(const Sums& d, char* shared, u32 barriers, int storing, int group, int use)
    {
        const u32 full = barriers + storing * 8;
        mbarrier_wait(full + kGroups * 8, (use & 1) ^ 1);
        *sums_for(shared, storing, group) = make_float4(d.even[0] + d.odd[0], d.even[1] + d.odd[1], d.even[2] + d.odd[2], d.even[3] + d.odd[3]);
        __syncwarp();
        if (threadIdx.x % 32 == 0)
        {
            mbarrier_arrive(full);
        }
    }

    /// Adds the warpgroups' sums of a tile, in the warpgroups' order.
    static __device__ __forceinline__ void add_up(float (&d)[kColumns / 2], char* shared, u32 barriers, int group, int use)
    {
        const u32 full = barriers + group * 8;
        mbarrier_wait(full, use & 1);
        float sum[4] = {};
#pragma unroll
        for (int g = 0; g < kGroups; g++)
        {
            const float4 other = g == group ? make_float4(d[0], d[1], d[2], d[3]) : *sums_for(shared, group, g);
            sum[0] += other.x;
            sum[1] += other.y;
            sum[2] += other.z;
            sum[3] += other.w;
        }

        __syncwarp();
        if (threadIdx.x % 32 == 0)
        {
            mbarrier_arrive(full + kGroups * 8);
        }

#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            d[i] = sum[i];
        }
    }

    /// What the first product makes of a tile's sums.
    template <bool kOfTokens, typename TOwnRounding>
    static __device__ __forceinline__ void store_results(const TActivation& activation, Pending& tile, char* staged, int group, const float2& bias, const float* factor,
                                                         int rows, u16* out, i64 out_stride, const TOwnRounding& rounding, const int* pairs, int top_k)
    {
        if constexpr (kIsGated)
        {
            store_act<kColumns, kOutBytes, kOfTokens>(activation, tile.rows, tile.d, staged, group, bias, factor, rows / 2, out, out_stride, rounding, pairs, top_k);
        }
        else
        {
            store_act_rows<kColumns, kOutBytes, kOfTokens>(activation, tile.rows, tile.d, staged, group, bias, factor, rows, out, out_stride, rounding, pairs, top_k);
        }
    }

    static __device__ __forceinline__ void store_shared(const TParameters& q, Pending& tile, char* staged, int group, StreamTiles tiles)
    {
        const SharedStreamProduct& p = shared_product(q, tile.is_first);
        if (tile.is_first)
        {
            store_results<false>(TActivation{q.shared_activation}, tile, staged, group, make_float2(0, 0), p.factor, p.rows, (u16*)p.out, q.shared_second.depth, RoundBf16(), nullptr, 1);
            tiles.taken = tile.index;
            tiles.arrive_stored();
        }
        else
        {
            const int mine = tile.rows.row0 + group * kBandRows + threadIdx.x % 128 / 32 * kGroupRows + threadIdx.x % 32 / 4;
            add_biases<kColumns>(tile.rows, tile.d, mine, make_float2(0, 0), p.factor, p.rows);
#pragma unroll
            for (int i = 0; i < kColumns / 2; i++)
            {
                const int token = threadIdx.x % 4 * 2 + i % 2;
                if (token < tile.rows.count)
                {
                    ((float*)p.out)[(i64)token * p.rows + mine + i / 2 * 8] = tile.d[i];
                }
            }
        }
    }

    static __device__ __forceinline__ void store(const TParameters& q, Pending& tile, char* shared, int group, StreamTiles tiles, int* pairs, Probe& probe)
    {
        probe.from();
        if (tile.use >= 0)
        {
            add_up(tile.d, shared, shared_address(shared) + kSumBarrierBase, group, tile.use);
        }

        probe.add(1);
        probe.from();
        char* staged = shared + kOutBase + group * kOutBytes;
        if constexpr (kHasShared)
        {
            if (tile.is_shared)
            {
                store_shared(q, tile, staged, group, tiles);
                probe.add(2);
                return;
            }
        }

        if (tile.is_first)
        {
            const StreamProduct& p = q.first;
            store_results<true>(TActivation{q.activation}, tile, staged, group, tile.bias, p.factor, p.rows, p.out, p.out_stride,
                                TRounding::template of<kGroups, kOutBytes / 64>(group), pairs, q.top_k);
            tiles.taken = tile.index;
            tiles.arrive_stored();
        }
        else
        {
            const StreamProduct& p = q.second;
            store_pairs<kColumns, kOutBytes>(tile.rows, tile.d, staged, group, tile.bias, p.factor, p.rows, pairs, p.out, p.out_stride);
        }

        probe.add(2);
    }

    /// What a warpgroup needs of memory to store a tile.
    static __device__ __forceinline__ float2 fetch_for_store(const TParameters& q, const StreamTile& tile, int group, int* pairs)
    {
        const Tile rows = tile.rows_of(group);
        if (threadIdx.x % 128 < rows.count)
        {
            copy_async_word(shared_address(pairs + threadIdx.x % 128), q.sorted_pairs + rows.first + threadIdx.x % 128);
        }

        return tile.is_first() && kIsGated ? act_bias(rows, group, q.first.bias, q.first.rows / 2)
            : tile.is_first() ? pair_bias(rows, group, q.first.bias, q.first.rows)
            : pair_bias(rows, group, q.second.bias, q.second.rows);
    }

    static __device__ __forceinline__ Probe compute_tiles(const TParameters& q, StreamTiles tiles, char* shared)
    {
        const u32 base = shared_address(shared), sum_barriers = base + kSumBarrierBase;
        const int group = __shfl_sync(~0u, threadIdx.x / 128, 0);
        int* pairs = (int*)(shared + kPairsBase) + group * kColumns;
        Ring ring = {0, 0};
        bool is_pending = false;
        Pending pending = {};
        Probe probe;  // marks: first stage full, first tile of the second product; sums: waits for full stages, for others' sums, ways out
        probe.begin();
        wait_unless_shared();
        [[maybe_unused]] Routed routed;
        u32 uses = 0;  // of each buffer of sums, its parity: tiles that one warpgroup multiplies need none
        for (int index = 0;;)
        {
            // While nothing else can be done, the tile that is pending is stored.
            const bool is_known = !is_pending || all_lanes(tiles.can_take());
            StreamTile tile = {};
            if (is_known)
            {
                tile = tiles.take();
            }

            const bool is_there = is_known && tile.is_there(), is_first = tile.is_first(), is_short = tile.is_short(), is_alone = is_short && index % kGroups == group;
            if (is_short && !is_alone)
            {
                ring.advance(tile.stages());
                if (!is_pending)
                {
                    index++;
                    continue;
                }
            }

            if (is_known)
            {
                routed.wait_for(tile.is_shared());
            }

            // Who stores short tiles too: so what a warpgroup fetches for one tile never takes the place of what a tile needs that it has still to store.
            const int storing = index % kGroups, use = uses >> storing & 1;
            int left = 0, steps = 0, place = 0;
            Sums sums = {};
            float2 bias = make_float2(0, 0);
            if (is_there && !is_short)
            {
                // What the compiler knows to be the same in all lanes makes the ring's addresses so.
                steps = steps_of(q, is_first);
                left = __reduce_max_sync(~0u, tile.stages());
                place = (group + tile.row / kBandRows) % kGroups;
                if (storing == group && !tile.is_shared())
                {
                    bias = fetch_for_store(q, tile, group, pairs);
                }

                if (!is_first)
                {
                    probe.mark(1);
                }
            }

            // What a tile of the second product waits for may be the tile that is pending.
            int now = left;
            if (is_pending)
            {
                const bool is_late = all_lanes(mbarrier_is_over(base + kBarrierBase + ring.stage * 8, ring.phase));
                now = is_late && !(pending.is_first && !is_first) ? min(left, kStagesBeforeStore) : 0;
            }

#pragma unroll 1
            while (true)
            {
                if (is_short)
                {
                }
                else if (kHasShared && tile.is_shared())
                {
                    accumulate_shared(sums, ring, base, place, q.columns, is_first, now, probe);
                }
                else
                {
                    accumulate(sums, ring, base, place, q.columns, steps, now, probe);
                }

                left -= now;
                now = left;

                // Before the tile that is pending: else who stores this one would wait for that, and tiles that are short would be stored one after the other.
                if (is_there && !is_short && left == 0 && storing != group)
                {
                    hand_over(sums, shared, sum_barriers, storing, group, use);
                }

                if (is_pending)
                {
                    store(q, pending, shared, group, tiles, pairs, probe);
                    is_pending = false;
                }

                if (left == 0)
                {
                    break;
                }
            }

            if (!is_known)
            {
                continue;
            }

            if (!is_there)
            {
                break;
            }

            index++;
            probe.tile();
            if (is_alone)
            {
                steps = steps_of(q, is_first);
                bias = fetch_for_store(q, tile, group, pairs);
                accumulate_alone(sums, ring, base, q.columns, steps, probe);
            }
            else if (is_short)
            {
                continue;
            }
            else
            {
                uses ^= 1u << storing;
                if (storing != group)
                {
                    continue;
                }
            }

            pending.rows = tile.rows_of(group);
            pending.index = index - 1;
            pending.use = is_alone ? -1 : use;
            pending.is_first = is_first;
            pending.is_shared = tile.is_shared();
            pending.bias = bias;
#pragma unroll
            for (int i = 0; i < kColumns / 2; i++)
            {
                pending.d[i] = sums.even[i] + sums.odd[i];
            }

            is_pending = true;
        }

        return probe;
    }

    /// One warp: a token a block.
    static __device__ __forceinline__ void open_gate(const TParameters& q)
    {
        if constexpr (kHasShared)
        {
            for (int token = blockIdx.x; q.gate != nullptr && token < q.columns; token += gridDim.x)
            {
                const float opened = open_shared_gate(q.x + token * q.x_stride, q.gate, q.shared_first.depth);
                if (threadIdx.x % 32 == 0)
                {
                    q.opened[token] = opened;
                }
            }
        }
    }

    static __device__ __forceinline__ void run(const TParameters& q)
    {
        extern __shared__ char unaligned[];
        char* shared = unaligned + (1024 - shared_address(unaligned) % 1024) % 1024;
        const u32 base = shared_address(shared), barriers = base + kBarrierBase, sums = base + kSumBarrierBase;
        int2* const active = (int2*)(shared + kListBase);
        const StreamTiles tiles = StreamTiles::at(shared + kNumbersBase);
        const List list = {active, q};
        if (threadIdx.x == 0)
        {
            tma_prefetch_map(&q.tokens);
            tma_prefetch_map(&q.act);
            for (int i = 0; i < kStages; i++)
            {
                mbarrier_init(barriers + i * 8, 2);
                mbarrier_init(barriers + (kStages + i) * 8, kGroups * 4);
            }

            for (int i = 0; i < kGroups; i++)
            {
                mbarrier_init(sums + i * 8, (kGroups - 1) * 4);
                mbarrier_init(sums + (kGroups + i) * 8, 4);
            }

            tiles.init(4);
            for (int i = 0; i < kNumberSlots; i++)
            {
                mbarrier_init(base + kCountedBase + i * 8, 1);
            }

            mbarrier_fence_init();
        }

        // All of this is done while the launch before still runs.
        __syncthreads();
        if (threadIdx.x < kGroups * 128)
        {
            registers_raise<kGroupRegisters>();
            const Probe probe = compute_tiles(q, tiles, shared);
            if (threadIdx.x % 128 == 0)
            {
                probe.leave(0, threadIdx.x / 128);
            }

            return;
        }

        registers_lower<kLoaderRegisters>();
        const int role = threadIdx.x / 32 - kGroups * 4;
        if (role == 0)
        {
            const Probe probe = load_weights(q, list, active, tiles, base);
            if (threadIdx.x % 32 == 0)
            {
                probe.leave(0, kGroups);
            }
        }
        else if (role == 1 && threadIdx.x % 32 == 0)
        {
            load_tokens(q, list, tiles, base).leave(0, kGroups + 1);
        }
        else if (role == 2 && threadIdx.x % 32 == 0)
        {
            count_stored(q, tiles, base);
        }
        else if (kHasShared && role == 3)
        {
            open_gate(q);
        }
    }
};

template <int kStages, int kGroupRegisters, int kSharedBytes, typename TRounding, typename TParameters, typename TActivation, typename TDealing = DealtForBf16>
__global__ void __launch_bounds__(640, 1) moe_mxfp4_stream(const __grid_constant__ TParameters q)
{
    Mxfp4Stream<kStages, kGroupRegisters, kSharedBytes, TRounding, TParameters, TActivation, TDealing>::run(q);
}
