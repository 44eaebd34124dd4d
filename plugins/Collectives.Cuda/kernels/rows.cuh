// Rows of sums: a block has a row, a thread V pieces of 16 bytes of it, a block's width apart.
#pragma once
#include "group.cuh"

constexpr int kMostAtOnce = 8;  // ranks whose pieces a thread reads at once

/// Ranks whose pieces a thread waits for at once. More than four take turns: eight pieces, and what a thread keeps over the wait, spill.
template <int B>
constexpr int kAwaited = B < kMostAtOnce ? B : kMostAtOnce / 2;

/// Blocks of a multiprocessor for which registers are kept free: with two, two groups' kernels run beside each other.
constexpr int blocks_at_once(int threads)
{
    return threads <= 384 ? 2 : 1;
}

/// As many as there may be: a constant where few are waited for at once, so that loops over ranks are unrolled.
template <int B>
__device__ __forceinline__ int most_ranks(const GroupParameters& p)
{
    return B < kMostAtOnce ? B : p.ranks;
}

/// A piece of BF16 (T = u16) or float32 values.
template <typename T>
struct Piece;

template <>
struct Piece<u16>
{
    static constexpr int kValues = 8;

    static __device__ __forceinline__ void add_to(float (&sum)[kValues], const uint4& v)
    {
        const u32 words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (int i = 0; i < 4; i++)
        {
            sum[2 * i] += __uint_as_float(words[i] << 16);
            sum[2 * i + 1] += __uint_as_float(words[i] & 0xffff0000u);
        }
    }

    static __device__ __forceinline__ uint4 round(const float (&v)[kValues])
    {
        return make_uint4(pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]), pack_bf16(v[4], v[5]), pack_bf16(v[6], v[7]));
    }
};

template <>
struct Piece<float>
{
    static constexpr int kValues = 4;

    static __device__ __forceinline__ void add_to(float (&sum)[kValues], const uint4& v)
    {
        sum[0] += __uint_as_float(v.x);
        sum[1] += __uint_as_float(v.y);
        sum[2] += __uint_as_float(v.z);
        sum[3] += __uint_as_float(v.w);
    }

    static __device__ __forceinline__ uint4 round(const float (&v)[kValues])
    {
        return make_uint4(__float_as_uint(v[0]), __float_as_uint(v[1]), __float_as_uint(v[2]), __float_as_uint(v[3]));
    }
};

/// One of two values. Of two references the compiler would choose by address, in local memory.
__device__ __forceinline__ uint4 choose(bool first, uint4 a, uint4 b)
{
    return make_uint4(first ? a.x : b.x, first ? a.y : b.y, first ? a.z : b.z, first ? a.w : b.w);
}

/// 16 bytes of a caller's row, which may begin anywhere.
__device__ __forceinline__ uint4 load_piece(const u8* at)
{
    if ((u64)at % 16 == 0)
    {
        return *(const uint4*)at;
    }

    u32 words[4];
#pragma unroll
    for (int i = 0; i < 4; i++)
    {
        words[i] = (u32)((const u16*)at)[2 * i] | (u32)((const u16*)at)[2 * i + 1] << 16;
    }

    return make_uint4(words[0], words[1], words[2], words[3]);
}

__device__ __forceinline__ void store_piece(u8* at, const uint4& v)
{
    if ((u64)at % 16 == 0)
    {
        *(uint4*)at = v;
        return;
    }

    const u32 words[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
    for (int i = 0; i < 4; i++)
    {
        ((u16*)at)[2 * i] = (u16)words[i];
        ((u16*)at)[2 * i + 1] = (u16)(words[i] >> 16);
    }
}

/// The norm's weight for a thread's pieces, and where they are.
template <typename T, int V>
struct RowPlan
{
    static constexpr int kValues = Piece<T>::kValues;
    float weight[V][kValues];

    static __device__ __forceinline__ int offset(int k)
    {
        return (int)(threadIdx.x + k * blockDim.x) * 16;
    }

    /// The weight is older than any launch that may still run.
    __device__ __forceinline__ void load_weight(const GroupParameters& p)
    {
#pragma unroll
        for (int k = 0; k < V; k++)
        {
            const int first = offset(k) / 16 * kValues;
#pragma unroll
            for (int i = 0; i < kValues; i++)
            {
                weight[k][i] = 0;
            }

            if (p.weight == nullptr || offset(k) >= p.row_bytes)
            {
                continue;
            }

            if (p.weight_is_float)
            {
                Piece<float>::add_to(*(float(*)[4])&weight[k][0], load_piece(p.weight + (i64)first * 4));
                if (kValues == 8)
                {
                    Piece<float>::add_to(*(float(*)[4])&weight[k][kValues / 2], load_piece(p.weight + (i64)first * 4 + 16));
                }
            }
            else
            {
#pragma unroll
                for (int i = 0; i < kValues; i++)
                {
                    weight[k][i] = __uint_as_float((u32)((const u16*)p.weight)[first + i] << 16);
                }
            }
        }
    }
};

/// The sum of a value over the block's threads, the same bits in each. `turn` differs from that of the sum before. Whether any thread says `failed`
/// comes with it.
__device__ __forceinline__ bool block_sum(float& value, int turn, bool failed)
{
    __shared__ float4 of_warps[2][8];
#pragma unroll
    for (int step = 16; step > 0; step /= 2)
    {
        value += __shfl_xor_sync(0xffffffffu, value, step);
    }

    if (threadIdx.x % 32 == 0)
    {
        ((float*)of_warps[turn & 1])[threadIdx.x / 32] = value;
    }

    const bool any = __syncthreads_or(failed);
    const int warps = (int)blockDim.x / 32;
    value = 0;
#pragma unroll
    for (int i = 0; i < 8; i++)
    {
        if (4 * i < warps)
        {
            const float4 v = of_warps[turn & 1][i];
            const float a = v.x + (4 * i + 1 < warps ? v.y : 0.0f);
            const float b = (4 * i + 2 < warps ? v.z : 0.0f) + (4 * i + 3 < warps ? v.w : 0.0f);
            value += a + b;
        }
    }

    return any;
}

/// Writes what a row's sum becomes: the rounded sum, and its norm. `rounded` holds the sum with the residual, rounded.
template <typename T, int V>
__device__ __forceinline__ bool finish_row(const GroupParameters& p, const RowPlan<T, V>& plan, i64 row, const uint4 (&rounded)[V], int turn, bool failed)
{
    constexpr int kValues = Piece<T>::kValues;
    if (p.residual_out != nullptr && !failed)
    {
#pragma unroll
        for (int k = 0; k < V; k++)
        {
            if (plan.offset(k) < p.row_bytes)
            {
                store_piece(p.residual_out + row * p.residual_out_stride + plan.offset(k), rounded[k]);
            }
        }
    }

    if (p.weight == nullptr)
    {
#pragma unroll
        for (int k = 0; k < V; k++)
        {
            if (plan.offset(k) < p.row_bytes && !failed)
            {
                store_piece(p.output + row * p.output_stride + plan.offset(k), rounded[k]);
            }
        }

        return failed;
    }

    // The norm is that of the rounded values, which whoever reads the residual sees.
    float squares = 0;
#pragma unroll
    for (int k = 0; k < V; k++)
    {
        if (plan.offset(k) < p.row_bytes)
        {
            float v[kValues] = {};
            Piece<T>::add_to(v, rounded[k]);
#pragma unroll
            for (int i = 0; i < kValues; i++)
            {
                squares += v[i] * v[i];
            }
        }
    }

    if (block_sum(squares, turn, failed))
    {
        return true;
    }

    const float factor = rsqrtf(squares * p.inverse_width + p.epsilon);
#pragma unroll
    for (int k = 0; k < V; k++)
    {
        if (plan.offset(k) < p.row_bytes)
        {
            float v[kValues] = {};
            Piece<T>::add_to(v, rounded[k]);
#pragma unroll
            for (int i = 0; i < kValues; i++)
            {
                v[i] = v[i] * factor * plan.weight[k][i];
            }

            store_piece(p.output + row * p.output_stride + plan.offset(k), Piece<T>::round(v));
        }
    }

    return false;
}

/// A row's sum over the ranks, in their order, as far as `from` has their bits: of the pieces in `got`, and of ranks beyond those that it has room for, read
/// here.
template <typename T, int V, int B>
__device__ __forceinline__ void sum_parts(
    const GroupParameters& p, const RowPlan<T, V>& plan, i64 row, const uint4 (&got)[V][B], float (&sum)[V][Piece<T>::kValues], u64 from = ~0ull)
{
#pragma unroll
    for (int k = 0; k < V; k++)
    {
        const int offset = plan.offset(k);
#pragma unroll
        for (int i = 0; i < Piece<T>::kValues; i++)
        {
            sum[k][i] = 0;
        }

#pragma unroll
        for (int i = 0; i < B; i++)
        {
            if (i < p.ranks && (from >> i & 1) != 0)
            {
                Piece<T>::add_to(sum[k], got[k][i]);
            }
        }

#pragma unroll 1
        for (int i = B; B == kMostAtOnce && i < p.ranks && offset < p.row_bytes; i++)
        {
            if ((from >> i & 1) != 0)
            {
                Piece<T>::add_to(sum[k], *(const uint4*)(p.memory[i] + p.partial_offset + row * p.row_bytes + offset));
            }
        }
    }
}

/// Adds the residual to a row's sum, and rounds.
template <typename T, int V>
__device__ __forceinline__ void round_row(const GroupParameters& p, float (&sum)[V][Piece<T>::kValues], const uint4 (&residual)[V], uint4 (&rounded)[V])
{
#pragma unroll
    for (int k = 0; k < V; k++)
    {
        if (p.residual != nullptr)
        {
            Piece<T>::add_to(sum[k], residual[k]);
        }

        rounded[k] = Piece<T>::round(sum[k]);
    }
}

template <int V>
__device__ __forceinline__ void load_residual(const GroupParameters& p, i64 row, uint4 (&residual)[V])
{
#pragma unroll
    for (int k = 0; k < V; k++)
    {
        const int offset = (int)(threadIdx.x + k * blockDim.x) * 16;
        if (p.residual != nullptr && offset < p.row_bytes)
        {
            residual[k] = load_piece(p.residual + row * p.residual_stride + offset);
        }
    }
}

/// Waits for a piece of a row of each of up to B ranks from `first` on, this one's own aside, in slots `stride` apart.
template <int B, bool kInlined>
__device__ __forceinline__ bool receive(const GroupParameters& p, const u8* slots, i64 stride, int first, uint4 (&got)[B], bool failed)
{
    Patience patience;
    while (!failed)
    {
        bool all = true;
        int missing = 0;
#pragma unroll
        for (int i = 0; i < B; i++)
        {
            const int sender = first + i;
            if (sender < p.ranks && sender != p.rank && !read_slot(slots + sender_index(sender, p.rank) * stride, got[i]))
            {
                all = false;
                missing = sender;
            }
        }

        if (all)
        {
            break;
        }

        failed = is_over<kInlined>(p, patience, missing);
    }

    return failed;
}

/// A piece's sum over all ranks, in their order; `own` is this rank's. There are at most B ranks, or B is the largest that there is.
template <typename T, int B>
__device__ __forceinline__ bool sum_ranks(const GroupParameters& p, const u8* slots, i64 stride, const uint4& own, float (&sum)[Piece<T>::kValues], bool failed)
{
#pragma unroll
    for (int i = 0; i < Piece<T>::kValues; i++)
    {
        sum[i] = 0;
    }

    for (int first = 0; first < most_ranks<B>(p); first += kAwaited<B>)
    {
        uint4 got[kAwaited<B>];
        failed = receive<kAwaited<B>, B == kMostAtOnce>(p, slots, stride, first, got, failed);
#pragma unroll
        for (int i = 0; i < kAwaited<B>; i++)
        {
            if (first + i < p.ranks)
            {
                Piece<T>::add_to(sum, choose(first + i == p.rank, own, got[i]));
            }
        }
    }

    return failed;
}
