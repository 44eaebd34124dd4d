// The epilogue of the wgmma products: from a warpgroup's accumulators through shared memory to rows in global memory.
#pragma once
#include "epilogue/activation.cuh"
#include "ptx/ptx.cuh"
#include "scheduler/tile_scheduler.cuh"

/// Named barriers of the storing warpgroups: this and the next ones.
constexpr int kGroupBarrier = 2;

/// How store_act rounds: to BF16, each result for itself. Another rounding has the same members.
struct RoundBf16
{
    static constexpr bool kAsksOthers = false;  // whether a warp's results depend on the warpgroup's other warps': a barrier stands behind prepare then

    /// Static shared memory of a block whose warpgroups each store so many tokens at once.
    static constexpr int shared_bytes(int groups, int tokens) { return 0; }

    /// A warpgroup's.
    template <int kGroups, int kTokens>
    static __device__ __forceinline__ RoundBf16 of(int group)
    {
        return {};
    }

    /// Before the barrier that comes before kPart columns are rounded.
    template <int kColumns, int kPart, typename TActivation>
    __device__ __forceinline__ void prepare(const TActivation& activation, float* d, const float2& b, int part) const
    {
    }

    /// Behind it, of those columns: what round takes.
    template <int kPart>
    __device__ __forceinline__ u32 scales() const { return 0; }

    /// Two tokens' results of the sums at d: gates of both, then ups.
    template <typename TActivation>
    __device__ __forceinline__ u32 round(const TActivation& activation, const float* d, const float2& b, int pair, u32 scales) const
    {
        return pack_bf16(activation(d[0] + b.x, d[2] + b.y), activation(d[1] + b.x, d[3] + b.y));
    }

    /// The same of layers without gates, whose activation is applied already.
    template <int kColumns, int kPart>
    __device__ __forceinline__ void prepare_rows(const float* d, int part) const
    {
    }

    template <int kPart>
    __device__ __forceinline__ u32 scales_rows() const { return 0; }

    /// One neuron's results of two tokens.
    __device__ __forceinline__ u32 round_rows(const float* d, int pair, u32 scales) const { return pack_bf16(d[0], d[1]); }
};

/// What store_act adds: the biases of this thread's gate and up. Read before a tile is multiplied, it waits for no memory afterwards.
__device__ __forceinline__ float2 act_bias(const Tile& tile, int group, const float* bias, int intermediate)
{
    const int mine = tile.row0 / 2 + group * 32 + threadIdx.x % 128 / 32 * 8 + threadIdx.x % 32 / 4;
    return bias != nullptr && mine < intermediate ? *(const float2*)(bias + (i64)tile.expert * 2 * intermediate + 2 * mine) : make_float2(0, 0);
}

/// What store_pairs adds: the biases of this thread's two rows, with the first part of the inner dimension alone.
__device__ __forceinline__ float2 pair_bias(const Tile& tile, int group, const float* bias, int hidden)
{
    const int mine = tile.row0 + group * 64 + threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4;
    if (bias == nullptr || mine >= hidden || tile.part != 0)
    {
        return make_float2(0, 0);
    }

    const float* b = bias + (i64)tile.expert * hidden + mine;
    return make_float2(b[0], b[mine + 8 < hidden ? 8 : 0]);
}

/// Fetches what store_pairs needs of a tile's pairs into shared memory of the warpgroup.
__device__ __forceinline__ void fetch_pairs(const Tile& tile, const int* sorted_pairs, const int* pairs)
{
    for (int i = threadIdx.x % 128; i < tile.count; i += 128)
    {
        copy_async_word(shared_address(pairs + i), sorted_pairs + tile.first + i);
    }
}

/// What the epilogue of a tile needs of memory, fetched before the tile is multiplied: its biases, and for the second product its pairs.
template <bool kFirst, int kNeuronRows = 2>
__device__ __forceinline__ float2 fetch_for_store(const Tile& tile, int group, const float* bias, int rows, const int* sorted_pairs, const int* pairs)
{
    if constexpr (kFirst)
    {
        return kNeuronRows == 2 ? act_bias(tile, group, bias, rows / 2) : pair_bias(tile, group, bias, rows);
    }
    else
    {
        const float2 own = pair_bias(tile, group, bias, rows);
        fetch_pairs(tile, sorted_pairs, pairs);
        return own;
    }
}

/// SwiGLU, and 32 columns of act, of a warpgroup's 64 rows: of a warp's 16 accumulator rows the first 8 are gates and the others their ups,
/// so both are one thread's. `staged` is the warpgroup's kOutBytes of shared memory.
template <int kColumns, int kOutBytes, typename TActivation, typename TRounding>
__device__ __forceinline__ void store_act(const TActivation& activation, const Tile& tile, float* d, char* staged, int group,
                                          const float2& b, const float* factor, int intermediate, u16* out, i64 out_stride,
                                          const TRounding& rounding)
{
    const int thread = threadIdx.x % 128, lane = thread % 32, warp = thread / 32;
    const int column0 = tile.row0 / 2 + group * 32, mine = column0 + warp * 8 + lane / 4;
    const i64 row = (i64)tile.expert * 2 * intermediate + 2 * mine;
    if (factor != nullptr && mine < intermediate)
    {
        const float2 f = *(const float2*)(factor + row);
#pragma unroll
        for (int i = 0; i < kColumns / 2; i++)
        {
            d[i] *= i % 4 < 2 ? f.x : f.y;
        }
    }

    constexpr int kPart = kOutBytes / 64;
    const int chunk = thread % 4;
#pragma unroll
    for (int part = 0; part < kColumns; part += kPart)
    {
        rounding.template prepare<kColumns, kPart>(activation, d, b, part);
        named_barrier(kGroupBarrier + group, 128);
        const u32 scales = rounding.template scales<kPart>();
#pragma unroll
        for (int token = part; token < min(part + kPart, kColumns); token += 32)
        {
            u32 packed[4];
#pragma unroll
            for (int i = 0; i < 4; i++)
            {
                const int at = min(token / 2 + i * 4, kColumns / 2 - 4);
                packed[i] = rounding.round(activation, d + at, b, (token - part) / 2 + i * 4 + lane % 4, scales);
            }

            store_matrix_transposed_x4(shared_address(staged) + (token - part + lane) * 64 + ((warp ^ (lane / 2 % 4)) * 16), packed[0],
                                       packed[1], packed[2], packed[3]);
        }

        named_barrier(kGroupBarrier + group, 128);
        if (column0 + chunk * 8 < intermediate)
        {
            for (int token = thread / 4; token < min(kPart, tile.count - part); token += 32)
            {
                *(uint4*)(out + (i64)(tile.first + part + token) * out_stride + column0 + chunk * 8) =
                    *(const uint4*)(staged + token * 64 + ((chunk ^ (token / 2 % 4)) * 16));
            }
        }
    }
}

/// Multiplies a thread's sums of two rows by the rows' factors, and adds their biases.
template <int kColumns>
__device__ __forceinline__ void add_biases(const Tile& tile, float* d, int mine, const float2& b, const float* factor, int rows)
{
    if (factor != nullptr && mine < rows)
    {
        const float* f = factor + (i64)tile.expert * rows + mine;
        const float low = f[0], high = f[mine + 8 < rows ? 8 : 0];
#pragma unroll
        for (int i = 0; i < kColumns / 2; i++)
        {
            d[i] *= i % 4 < 2 ? low : high;
        }
    }

#pragma unroll
    for (int i = 0; i < kColumns / 2; i++)
    {
        d[i] += i % 4 < 2 ? b.x : b.y;
    }
}

/// Stores 64 columns of a warpgroup's 64 rows. `row_of` says where a token's go; `rounding` is that of finished results.
template <int kColumns, int kOutBytes, typename TRounding, typename TRowOf>
__device__ __forceinline__ void store_rows(const Tile& tile, const float* d, char* staged, int group, int width, u16* out, i64 out_stride,
                                           const TRounding& rounding, const TRowOf& row_of)
{
    const int thread = threadIdx.x % 128, lane = thread % 32, warp = thread / 32, column0 = tile.row0 + group * 64, chunk = thread % 8;
    constexpr int kPart = kOutBytes / 128;
#pragma unroll
    for (int part = 0; part < kColumns; part += kPart)
    {
        rounding.template prepare_rows<kColumns, kPart>(d, part);
        named_barrier(kGroupBarrier + group, 128);
        const u32 scales = rounding.template scales_rows<kPart>();
#pragma unroll
        for (int token = part; token < min(part + kPart, kColumns); token += 16)
        {
            const int at = token / 2, next = min(at + 4, kColumns / 2 - 4), pair = at - part / 2 + lane % 4, next_pair = pair + next - at;
            const int to_row = token - part + lane / 16 * 8 + lane % 8, to = warp * 2 + lane / 8 % 2;
            store_matrix_transposed_x4(shared_address(staged) + to_row * 128 + ((to ^ (lane % 8)) * 16), rounding.round_rows(d + at, pair, scales),
                                       rounding.round_rows(d + at + 2, pair, scales), rounding.round_rows(d + next, next_pair, scales),
                                       rounding.round_rows(d + next + 2, next_pair, scales));
        }

        named_barrier(kGroupBarrier + group, 128);
        if (column0 + chunk * 8 < width)
        {
            for (int token = thread / 8; token < min(kPart, tile.count - part); token += 16)
            {
                *(uint4*)(out + (i64)row_of(part + token) * out_stride + column0 + chunk * 8) = *(const uint4*)(staged + token * 128 + ((chunk ^ (token % 8)) * 16));
            }
        }
    }
}

/// 64 columns of act of a layer without gates, of a warpgroup's 64 rows.
template <int kColumns, int kOutBytes, typename TActivation, typename TRounding>
__device__ __forceinline__ void store_act_rows(const TActivation& activation, const Tile& tile, float* d, char* staged, int group, const float2& b,
                                               const float* factor, int intermediate, u16* out, i64 out_stride, const TRounding& rounding)
{
    add_biases<kColumns>(tile, d, tile.row0 + group * 64 + threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4, b, factor, intermediate);
#pragma unroll
    for (int i = 0; i < kColumns / 2; i++)
    {
        d[i] = activation(d[i]);
    }

    store_rows<kColumns, kOutBytes>(tile, d, staged, group, intermediate, out, out_stride, rounding, [&](int token) { return tile.first + token; });
}

/// 64 columns of the pairs' results, of a warpgroup's 64 rows. `pairs` is what fetch_pairs has fetched.
template <int kColumns, int kOutBytes>
__device__ __forceinline__ void store_pairs(const Tile& tile, float* d, char* staged, int group, const float2& b,
                                            const float* factor, int hidden, const int* pairs, u16* out, i64 out_stride)
{
    add_biases<kColumns>(tile, d, tile.row0 + group * 64 + threadIdx.x % 128 / 32 * 16 + threadIdx.x % 32 / 4, b, factor, hidden);
    copy_async_wait_all();
    store_rows<kColumns, kOutBytes>(tile, d, staged, group, hidden, out, out_stride, RoundBf16(), [&](int token) { return pairs[token]; });

    // The next tile's pairs come only when these are no longer needed.
    named_barrier(kGroupBarrier + group, 128);
}
