// All-gather of rows of any bytes: pushed to all ranks, with a flag of each block behind them; or left where the others read them; or, where they are short,
// many at a time.
#include "rows.cuh"

struct GatherParameters
{
    GroupParameters group;  // rows, row_bytes: of what a rank brings; partial, output and output_stride too
    i64 input_stride;
    i64 rank_stride;        // bytes from the first row of one rank in the output to that of the next
    i64 slot_bytes;         // between rows in a set of slots
};

constexpr int kShortBytes = 8;  // of a short row, that a thread takes at a time

namespace
{
template <typename T>
__device__ __forceinline__ void copy_row(u8* to, const u8* from, int bytes)
{
    for (int i = (int)threadIdx.x; i < bytes / (int)sizeof(T); i += (int)blockDim.x)
    {
        ((T*)to)[i] = ((const T*)from)[i];
    }
}

__device__ __forceinline__ void copy_row(u8* to, const u8* from, int bytes)
{
    const u64 bits = (u64)to | (u64)from | (u64)bytes;
    if (bits % 16 == 0)
    {
        copy_row<uint4>(to, from, bytes);
    }
    else if (bits % 4 == 0)
    {
        copy_row<u32>(to, from, bytes);
    }
    else
    {
        copy_row<u8>(to, from, bytes);
    }
}

/// Up to 8 bytes of a short row.
__device__ __forceinline__ u64 load_short(const u8* from, int bytes)
{
    if (((u64)from | (u64)bytes) % 4 == 0)
    {
        return *(const u32*)from | (bytes > 4 ? (u64)((const u32*)from)[1] << 32 : 0);
    }

    u64 v = 0;
#pragma unroll 1
    for (int i = 0; i < bytes; i++)
    {
        v |= (u64)from[i] << 8 * i;
    }

    return v;
}

__device__ __forceinline__ void store_short(u8* to, u64 v, int bytes)
{
    if (((u64)to | (u64)bytes) % 4 == 0)
    {
        *(u32*)to = (u32)v;
        if (bytes > 4)
        {
            ((u32*)to)[1] = (u32)(v >> 32);
        }

        return;
    }

#pragma unroll 1
    for (int i = 0; i < bytes; i++)
    {
        to[i] = (u8)(v >> 8 * i);
    }
}
}

/// Blocks of any number of threads from the ranks' on; a row and turn a block. The grid is the same on all ranks.
extern "C" __global__ void __launch_bounds__(512, 2) moe_gather(const __grid_constant__ GatherParameters q)
{
    const GroupParameters& p = q.group;
    const uint4 state = begin_call(p);
    const u32 epoch = state.x;
    bool failed = state.y != 0;
    for (int row = (int)blockIdx.x; row < p.rows && !failed; row += (int)gridDim.x)
    {
        const u8* input = p.partial + row * q.input_stride;
        for (int i = 1; i < p.ranks; i++)
        {
            const int peer = next_rank(p, i);
            copy_row(set_of(p, peer, epoch) + ((i64)sender_index(p.rank, peer) * p.rows + row) * q.slot_bytes, input, p.row_bytes);
        }

        copy_row(p.output + p.rank * q.rank_stride + row * p.output_stride, input, p.row_bytes);
    }

    // The flag of a block is released behind all its threads' rows.
    __threadfence_system();
    __syncthreads();
    failed = __syncthreads_or(failed || meet(p, epoch, 2));
    if (threadIdx.x == blockDim.x - 1 && state.y == 0)
    {
        count_call(p, epoch);
    }

    const u8* set = set_of(p, p.rank, epoch);
    for (int row = (int)blockIdx.x; row < p.rows && !failed; row += (int)gridDim.x)
    {
        for (int i = 0; i < p.ranks - 1; i++)
        {
            const int sender = i < p.rank ? i : i + 1;
            copy_row(p.output + sender * q.rank_stride + row * p.output_stride, set + ((i64)i * p.rows + row) * q.slot_bytes, p.row_bytes);
        }
    }

    // Empty again for reductions, whole slots of 16 bytes.
    __syncthreads();
    for (int row = (int)blockIdx.x; row < p.rows && !failed; row += (int)gridDim.x)
    {
        for (int i = 0; i < p.ranks - 1; i++)
        {
            for (int j = (int)threadIdx.x * 16; j < q.slot_bytes; j += (int)blockDim.x * 16)
            {
                empty_slot((u8*)set + ((i64)i * p.rows + row) * q.slot_bytes + j);
            }
        }
    }
}

/// The same by reading, for many rows: each rank leaves its rows where sums are left, and reads the others', or those of them that it wants (p.experts).
/// One meeting: what is read has a place of two, used by turns, and in the call between each rank hears that the others have read.
extern "C" __global__ void __launch_bounds__(512, 2) moe_gather_read(const __grid_constant__ GatherParameters q)
{
    constexpr int kAtOnce = 4;
    const GroupParameters& p = q.group;
    const uint4 state = begin_call(p);
    const u32 epoch = state.x;
    const i64 left = p.sums_offset + (i64)(epoch & 1) * p.sums_bytes;
    for (int row = (int)blockIdx.x; row < p.rows; row += (int)gridDim.x)
    {
        const u8* input = p.partial + row * q.input_stride;
        copy_row(p.memory[p.rank] + left + row * q.slot_bytes, input, p.row_bytes);
        copy_row(p.output + p.rank * q.rank_stride + row * p.output_stride, input, p.row_bytes);
    }

    // A flag's release covers what all threads of the block wrote before the barrier.
    __syncthreads();
    const bool failed = __syncthreads_or(state.y != 0 || meet(p, epoch, 0));
    if (threadIdx.x == blockDim.x - 1 && state.y == 0)
    {
        count_call(p, epoch);
    }

    const bool whole = ((u64)p.output | (u64)p.output_stride | (u64)q.rank_stride | (u64)p.row_bytes) % 16 == 0;
    for (int row = (int)blockIdx.x; row < p.rows && !failed; row += (int)gridDim.x)
    {
        for (int first = 1; first < p.ranks; first += kAtOnce)
        {
            if (!whole)
            {
                for (int i = first; i < min(first + kAtOnce, p.ranks); i++)
                {
                    const int peer = next_rank(p, i);
                    if (!is_ours(p.experts, peer, row))
                    {
                        continue;
                    }

                    copy_row(p.output + peer * q.rank_stride + row * p.output_stride, p.memory[peer] + left + row * q.slot_bytes, p.row_bytes);
                }

                continue;
            }

            u32 wanted = 0;
#pragma unroll
            for (int i = 0; i < kAtOnce; i++)
            {
                wanted |= first + i < p.ranks && is_ours(p.experts, next_rank(p, first + i), row) ? 1u << i : 0;
            }

            for (int at = (int)threadIdx.x * 16; at < p.row_bytes; at += (int)blockDim.x * 16)
            {
                uint4 got[kAtOnce];
#pragma unroll
                for (int i = 0; i < kAtOnce; i++)
                {
                    if ((wanted >> i & 1) != 0)
                    {
                        got[i] = *(const uint4*)(p.memory[next_rank(p, first + i)] + left + row * q.slot_bytes + at);
                    }
                }

#pragma unroll
                for (int i = 0; i < kAtOnce; i++)
                {
                    if ((wanted >> i & 1) != 0)
                    {
                        *(uint4*)(p.output + next_rank(p, first + i) * q.rank_stride + row * p.output_stride + at) = got[i];
                    }
                }
            }
        }
    }
}

/// Short rows: a thread takes 8 bytes at a time, of whichever row they are, and no flag announces them. They may be any bits, all ones too, so a word of a slot
/// carries two bytes and is never what an empty one is. The grid is the same on all ranks.
extern "C" __global__ void __launch_bounds__(128, 8) moe_gather_short(const __grid_constant__ GatherParameters q)
{
    constexpr int kAtOnce = 4;
    const GroupParameters& p = q.group;
    const uint4 state = begin_call(p);
    const u32 epoch = state.x;
    bool failed = state.y != 0;
    const int of_row = ceil_div(p.row_bytes, kShortBytes);
    const int pieces = p.rows * of_row;
    const i64 sender_bytes = (i64)pieces * 16;
    const int first = (int)(blockIdx.x * blockDim.x + threadIdx.x);
    const int step = (int)(gridDim.x * blockDim.x);
    for (int i = first; i < pieces && !failed; i += step)
    {
        const int row = i / of_row;
        const int at = (i - row * of_row) * kShortBytes;
        const int bytes = min(kShortBytes, p.row_bytes - at);
        const u64 v = load_short(p.partial + row * q.input_stride + at, bytes);
        for (int j = 1; j < p.ranks; j++)
        {
            const int peer = next_rank(p, j);
            u8* slots = set_of(p, peer, epoch) + sender_index(p.rank, peer) * sender_bytes;
            store_volatile(slots + (i64)i * 16, make_uint4((u16)v, (u16)(v >> 16), (u16)(v >> 32), (u16)(v >> 48)));
        }

        store_short(p.output + p.rank * q.rank_stride + row * p.output_stride + at, v, bytes);
    }

    // All threads have read the number, and there is time until the answers come.
    __syncthreads();
    if (threadIdx.x == blockDim.x - 1 && state.y == 0)
    {
        count_call(p, epoch);
    }

    u8* set = set_of(p, p.rank, epoch);
    for (int i = first; i < pieces && !failed; i += step)
    {
        const int row = i / of_row;
        const int at = (i - row * of_row) * kShortBytes;
        const int bytes = min(kShortBytes, p.row_bytes - at);
        u8* slots = set + (i64)i * 16;
        for (int from = 0; from < p.ranks && !failed; from += kAtOnce)
        {
            uint4 got[kAtOnce];
            failed = receive<kAtOnce, true>(p, slots, sender_bytes, from, got, failed);
#pragma unroll
            for (int j = 0; j < kAtOnce; j++)
            {
                const int sender = from + j;
                if (sender < p.ranks && sender != p.rank && !failed)
                {
                    const u64 v = got[j].x | got[j].y << 16 | (u64)(got[j].z | got[j].w << 16) << 32;
                    store_short(p.output + sender * q.rank_stride + row * p.output_stride + at, v, bytes);
                    empty_slot(slots + sender_index(sender, p.rank) * sender_bytes);
                }
            }
        }
    }
}
