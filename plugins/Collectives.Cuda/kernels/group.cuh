// What the kernels of a group share: what they are told, how ranks meet, and how a wait ends.
//
// Each rank has memory that all ranks reach: slots of rows, two sets of them, used by turns. A rank writes its rows into slots of the other ranks
// ("pushes"), and reads its own slots until the rows are there: nothing is read across the link, and no flag stands apart from what it announces.
//
// Why two sets are enough: in every call each rank hears from every other one, and a kernel begins after the one before it has ended. So a rank that
// pushes in call k + 2 has heard of call k + 1 from the receiver, whose call k, with all that it read and cleaned, had ended before.
#pragma once
#include "words.cuh"

constexpr int kMostRanks = 64;
constexpr int kMostBlocks = 512;

/// Set in the kernel's own rank's memory only; zeroed when the group is made.
struct RankState
{
    u32 epoch;    // calls so far, modulo 2^32
    u32 failed;   // not 0: the group has ended
    u32 arrived;  // blocks of this call that have read the epoch
    u32 unused;
};

/// In host memory, a rank's own.
struct HostWords
{
    u32 abort;    // written by the host: not 0 ends what waits
    u32 failure;  // written by a kernel that has waited too long: 1 + the rank that it waited for
};

/// Which ranks want a token's row, and have a part in its sum: those that have one of its experts.
struct TokenExperts
{
    const u8* ids;        // int32, top_k of each token, of this launch's first token of rank 0; null: every row goes everywhere
    i64 ids_stride;       // bytes from one token's to the next one's
    i64 rank_stride;      // bytes from one rank's first token's to the next rank's
    u64 tensor_bits;      // as many ones as ranks share an expert
    int top_k;
    int experts;
    int experts_of_rank;  // of each but the last
    int tensor_ranks;
    int first;            // this rank's experts
    int count;
};

struct GroupParameters
{
    const u8* partial;       // this rank's rows, dense
    const u8* residual;      // or null
    const u8* weight;        // of the norm, or null: no norm
    u8* residual_out;        // or null
    u8* output;
    RankState* state;
    HostWords* host;
    u64 patience;            // nanoseconds that a wait may take
    i64 residual_stride;     // bytes, as all strides
    i64 residual_out_stride;
    i64 output_stride;
    i64 set_bytes;           // of one set of slots
    i64 flags_offset;        // where, in each rank's memory, the flags of blocks begin
    i64 partial_offset;      // where the partial rows begin
    i64 sums_offset;         // where an owner leaves sums that the others read: two sets, used by turns as those of slots are
    i64 sums_bytes;          // of one of them
    int rank;
    int ranks;
    int rows;                // of the output
    int spread;              // rows from one rank's share of the partial rows to the next one's; 0: every rank gets all
    int row_bytes;           // a multiple of 16
    int ahead;               // rows that a block pushes before it waits for the first
    float epsilon;
    int weight_is_float;     // else it is BF16
    int may_overlap;         // the next launch may begin while this one waits
    float inverse_width;
    u8* memory[kMostRanks];  // each rank's, as this device reaches it
    TokenExperts experts;
};

// ---- who wants a row

__device__ __forceinline__ const int* ids_of(const TokenExperts& t, int source, int row)
{
    return (const int*)(t.ids + source * t.rank_stride + row * t.ids_stride);
}

/// The ranks that have one of the experts of a token of rank `source`, a bit each.
__device__ __forceinline__ u64 ranks_of(const TokenExperts& t, int source, int row)
{
    if (t.ids == nullptr)
    {
        return ~0ull;
    }

    const int* ids = ids_of(t, source, row);
    u64 ranks = 0;
    for (int i = 0; i < t.top_k; i++)
    {
        const u32 id = (u32)ids[i];
        if (id < (u32)t.experts)
        {
            ranks |= t.tensor_bits << (id / (u32)t.experts_of_rank * (u32)t.tensor_ranks);
        }
    }

    return ranks;
}

/// Whether this rank is one of them.
__device__ __forceinline__ bool is_ours(const TokenExperts& t, int source, int row)
{
    if (t.ids == nullptr)
    {
        return true;
    }

    const int* ids = ids_of(t, source, row);
    for (int i = 0; i < t.top_k; i++)
    {
        if ((u32)(ids[i] - t.first) < (u32)t.count)
        {
            return true;
        }
    }

    return false;
}

// ---- the end of a wait

/// What a thread knows of its wait.
struct Patience
{
    u32 spins = 0;
    u64 until = 0;
};

constexpr u32 kSpins = 1024;  // between two looks

constexpr u64 kNoMore = ~0ull;

/// Looks whether a wait is to end without what it waits for: then kNoMore, else when it is to end, 0 for nobody knows yet. It never traps: a trap
/// would cost the context.
__device__ __forceinline__ u64 look_around(RankState* state, const HostWords* words, u64 patience, u64 until, int peer)
{
    if (load_volatile_word(&state->failed) != 0)
    {
        return kNoMore;
    }

    // One thread of those of a warp that wait: the host's memory is far.
    const u32 active = __activemask();
    if ((int)(threadIdx.x % 32) != __ffs(active) - 1)
    {
        return until;
    }

    if (load_volatile_word(&words->abort) != 0)
    {
        atomicExch(&state->failed, 1u);
        return kNoMore;
    }

    const u64 now = nanoseconds();
    if (until == 0)
    {
        return now + patience;
    }

    if ((i64)(now - until) > 0)
    {
        if (atomicCAS(&state->failed, 0u, 1u) == 0)
        {
            atomicExch_system((u32*)&words->failure, 1u + (u32)peer);
        }

        return kNoMore;
    }

    return until;
}

__device__ __noinline__ u64 call_look_around(RankState* state, const HostWords* words, u64 patience, u64 until, int peer)
{
    return look_around(state, words, patience, until, peer);
}

/// kInlined: for kernels whose threads keep many values in registers. A call would spill most of them.
template <bool kInlined = false>
__device__ __forceinline__ bool is_over(const GroupParameters& p, Patience& patience, int peer)
{
    if (++patience.spins % kSpins != 0)
    {
        return false;
    }

    patience.until = kInlined ? look_around(p.state, p.host, p.patience, patience.until, peer)
                              : call_look_around(p.state, p.host, p.patience, patience.until, peer);
    return patience.until == kNoMore;
}

// ---- slots

constexpr u32 kEmpty = 0xffffffffu;  // two BF16 or one float32: NaN of a payload that is never written

// A slot's words are empty until they are written, and whoever has read them empties them again: a word announces itself. Any bits may be written but
// all ones. Half of the words could be the call's number instead (NCCL's LL protocol), with nothing to empty: that was slower from two rows on.

__device__ __forceinline__ u8* set_of(const GroupParameters& p, int rank, u32 epoch)
{
    return p.memory[rank] + (i64)(epoch & 1) * p.set_bytes;
}

__device__ __forceinline__ u32 written(u32 word)
{
    return word == kEmpty ? 0xfffeffffu : word;  // NaN as well
}

__device__ __forceinline__ void write_slot(u8* at, const uint4& v)
{
    store_volatile(at, make_uint4(written(v.x), written(v.y), written(v.z), written(v.w)));
}

/// Word by word, so that it does not matter whether 16 bytes arrive as one.
__device__ __forceinline__ bool read_slot(const u8* at, uint4& v)
{
    v = load_volatile(at);
    return v.x != kEmpty && v.y != kEmpty && v.z != kEmpty && v.w != kEmpty;
}

__device__ __forceinline__ void empty_slot(u8* at)
{
    *(uint4*)at = make_uint4(kEmpty, kEmpty, kEmpty, kEmpty);
}

/// The rank that is `step` behind this one, in a circle.
__device__ __forceinline__ int next_rank(const GroupParameters& p, int step)
{
    const int next = p.rank + step;
    return next < p.ranks ? next : next - p.ranks;
}

/// The number that a rank has among those that `receiver` hears from.
__device__ __forceinline__ int sender_index(int sender, int receiver)
{
    return sender - (sender > receiver ? 1 : 0);
}

// ---- the call's number

/// Reads the call's number, and whether the group has ended. Behind wait_for_previous_launch.
__device__ __forceinline__ uint4 read_state(const GroupParameters& p)
{
    return load_volatile(p.state);
}

/// Begins a call that reads nothing before the launch before it has ended; returns its state.
__device__ __forceinline__ uint4 begin_call(const GroupParameters& p)
{
    if (p.may_overlap)
    {
        allow_next_launch();
    }

    wait_for_previous_launch();
    return read_state(p);
}

/// Counts the call. By one thread of each block, once all threads of the block have read the number.
__device__ __forceinline__ void count_call(const GroupParameters& p, u32 epoch)
{
    if (gridDim.x == 1 || atomicAdd(&p.state->arrived, 1u) == gridDim.x - 1)
    {
        *(volatile u32*)&p.state->arrived = 0;
        *(volatile u32*)&p.state->epoch = epoch + 1;
    }
}

// ---- blocks of equal number of all ranks meet

/// Thread r tells block b of rank r that its own block has come this far, and waits until it hears the same. `side` tells apart the places of a kernel.
/// Where a kernel meets once, the other rank may be at the same place of its next call before this thread looks; further it cannot be.
__device__ __forceinline__ bool meet(const GroupParameters& p, u32 epoch, int side)
{
    bool failed = false;
    if ((int)threadIdx.x < p.ranks && (int)threadIdx.x != p.rank)
    {
        const int peer = (int)threadIdx.x;
        const i64 from = ((i64)side * kMostRanks * kMostBlocks + blockIdx.x) * 4;
        u8* theirs = p.memory[peer] + p.flags_offset + from + (i64)p.rank * kMostBlocks * 4;
        const u8* ours = p.memory[p.rank] + p.flags_offset + from + (i64)peer * kMostBlocks * 4;
        store_release(theirs, epoch + 1);
        Patience patience;
        while (load_acquire_word(ours) - (epoch + 1) > 1 && !failed)
        {
            failed = is_over(p, patience, peer);
        }
    }

    return failed;
}
