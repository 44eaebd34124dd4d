// The router on clusters of thread blocks, for up to 32 experts: nothing that its blocks tell each other goes through global memory. Each of a
// cluster's 8 blocks multiplies its share of the inner dimension for all of the cluster's tokens and experts; then the first of them add the shares
// of 16 tokens each and choose their experts. Where one cluster holds all tokens its first block also sorts the (token, k) pairs by expert.
//
// All of it is waiting: for one instruction after the other, and for other blocks. So what divides is a power of two, no block waits for more than what
// it uses, and weights are fetched before the launch before is done.
//
// Blocks of 512 threads, 8 of them a cluster and a tile of tokens. sm_90 and newer. Dynamic shared memory: Layout's.
#include "ptx/cluster.cuh"
#include "ptx/mbarrier.cuh"
#include "routing/router_program.cuh"

struct ClusterRouterParameters
{
    RouterParameters router;
    int tile_bits;  // a cluster has 1 << tile_bits tokens: 16, 32 or 64
    int part_bits;  // 1 << part_bits warps share the products of 16 tokens, a part of the inner dimension each: 8, or 4 where a tile has 64
};

struct ProgramClusterRouterParameters
{
    ClusterRouterParameters cluster;
    RouterProgram program;
};

namespace
{
constexpr int kBlockBits = 3, kBlocks = 1 << kBlockBits, kThreads = 512, kWarps = kThreads / 32;
constexpr int kRows = 32;                  // experts, rounded up
constexpr int kOwnBits = 4;                // tokens of a unit of products, and tokens that a block chooses experts for, a warp each
constexpr int kSumStride = kRows + 4;      // floats of one token's sums: 4 more, so that no two lanes meet in a bank
constexpr int kUnitFloats = kSumStride << kOwnBits;
constexpr int kSumBytes = kWarps * kUnitFloats * 4;

/// Where things lie in shared memory, and which share of the inner dimension is the block's.
struct Layout
{
    int tile_bits, stride, first, share;
    u32 rank, weights, columns, received, sums, biases, ids, barriers;

    __device__ __forceinline__ Layout(const ClusterRouterParameters& q, u32 shared)
    {
        const RouterParameters& p = q.router;
        const int slices = ceil_div(p.hidden, 32);
        rank = cluster_rank();
        tile_bits = q.tile_bits;
        stride = (ceil_div(slices, kBlocks) | 1) * 64;  // odd, so that rows that are read together lie in different banks
        first = slices * (int)rank >> kBlockBits;
        share = (slices * (int)(rank + 1) >> kBlockBits) - first;
        weights = shared;                                   // [terms, kRows, stride]
        columns = weights + p.terms * kRows * stride;       // [tokens, stride]
        sums = weights;                                     // [parts, units, 16 tokens, kSumStride] float32, once the products are made
        received = max(columns + (stride << tile_bits), sums + kSumBytes);  // [blocks, 16 tokens, kRows] float32
        biases = received + (kRows * kBlocks * 4 << kOwnBits);              // [kRows] float32
        barriers = biases + kRows * 4;                      // of sums received, and of ids received
        ids = barriers + 16;                                // [tokens, top_k]
    }

    __device__ __forceinline__ int units() const { return 1 << (tile_bits - kOwnBits); }
};

/// A block's share of a row, in 16-byte pieces: zeros beyond what exists. One warp.
__device__ __forceinline__ void fetch_row(const Layout& l, u32 to, const u16* from, bool exists, int hidden)
{
#pragma unroll 1
    for (int piece = threadIdx.x % 32; piece < l.share * 4; piece += 32)
    {
        const bool valid = exists && l.first * 4 + piece < hidden / 8;
        copy_async(to + piece * 16, valid ? from + (l.first * 4 + piece) * 8 : from, valid ? 16 : 0);
    }
}

/// The products of this block's share: a warp has all experts, 16 tokens and its part of the inner dimension.
__device__ __forceinline__ void multiply_share(const Layout& l, int terms, float* sums, int part_bits)
{
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, g = lane / 4, t = lane % 4;
    const int unit = warp >> part_bits, part = warp & ((1 << part_bits) - 1);
    const bool works = unit < l.units();
    const u32 column = l.columns + ((unit << kOwnBits) + g) * l.stride + t * 16, row = l.weights + g * l.stride + t * 16;
    float d[2][2][4] = {};
#pragma unroll 1
    for (int s = part; works && s < l.share; s += 1 << part_bits)
    {
        const uint4 x[2] = {load_shared(column + s * 64), load_shared(column + s * 64 + 8 * l.stride)};
#pragma unroll 1
        for (int term = 0; term < terms; term++)
        {
            const u32 at = row + term * kRows * l.stride + s * 64;
#pragma unroll
            for (int m = 0; m < 2; m++)
            {
                const uint4 low = load_shared(at + m * 16 * l.stride), high = load_shared(at + (m * 16 + 8) * l.stride);
                mma_bf16_k32(d[m][0], low, high, x[0]);
                mma_bf16_k32(d[m][1], low, high, x[1]);
            }
        }
    }

    // The sums lie where the operands lay.
    __syncthreads();
    if (!works)
    {
        return;
    }

    float* to = sums + (part * l.units() + unit) * kUnitFloats + 2 * t * kSumStride + g;
#pragma unroll
    for (int m = 0; m < 2; m++)
    {
#pragma unroll
        for (int n = 0; n < 2; n++)
        {
            float* const at = to + m * 16 + n * 8 * kSumStride;
            at[0] = d[m][n][0];
            at[kSumStride] = d[m][n][1];
            at[8] = d[m][n][2];
            at[8 + kSumStride] = d[m][n][3];
        }
    }
}

/// Adds the parts' sums in their order, and sends each to the block that chooses for its token.
__device__ __forceinline__ void send_sums(const Layout& l, const float* sums, int part_bits)
{
    const int step = l.units() * kUnitFloats, expert = threadIdx.x % 8 * 4;
#pragma unroll 1
    for (int token = threadIdx.x / 8; token >> l.tile_bits == 0; token += kThreads / 8)
    {
        const float* from = sums + token * kSumStride + expert;
        float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll 1
        for (int first = 0; first >> part_bits == 0; first += 4)
        {
#pragma unroll
            for (int part = first; part < first + 4; part++)
            {
                const float4 v = *(const float4*)(from + part * step);
                sum.x += v.x;
                sum.y += v.y;
                sum.z += v.z;
                sum.w += v.w;
            }
        }

        const int own = token & ((1 << kOwnBits) - 1), rank = token >> kOwnBits;
        send(shared_address_of(l.received + (((l.rank << kOwnBits) + own) * kRows + expert) * 4, rank), sum, shared_address_of(l.barriers, rank));
    }
}

/// A warp a token. Where this sorts, the choices go to the sorting block.
template <typename TChoice>
__device__ __forceinline__ void choose_for_token(const Layout& l, const RouterParameters& p, const TChoice& choice, const float* received, const float* bias, int token)
{
    const int lane = threadIdx.x % 32, own = threadIdx.x / 32;
    if (token >= p.tokens)
    {
        return;
    }

    u32 keys[1];
    choice.fetch(keys);
    float logit[1] = {bias[lane]};
#pragma unroll
    for (int from = 0; from < kBlocks; from++)
    {
        logit[0] += received[((from << kOwnBits) + own) * kRows + lane];
    }

    const int id = choice.choose(p, token, logit, keys);
    if (p.sort && lane < p.top_k)
    {
        send(shared_address_of(l.ids + (token * p.top_k + lane) * 4, 0), id, shared_address_of(l.barriers + 8, 0));
    }
}

template <typename TChoice>
__device__ __forceinline__ void route(const ClusterRouterParameters& q, const TChoice& choice)
{
    extern __shared__ float4 shared[];
    const RouterParameters& p = q.router;
    const Layout l(q, shared_address(shared));
    const int warp = threadIdx.x / 32, token0 = blockIdx.x / kBlocks << l.tile_bits;
    const bool chooses = l.rank << kOwnBits >> l.tile_bits == 0;
    char* const base = (char*)shared - l.weights;
    float* const bias = (float*)(base + l.biases);
    float* const sums = (float*)(base + l.sums);
    const bool sorts = p.sort && l.rank == 0;
    if (!sorts && !p.target.lets_next_begin_late())
    {
        allow_next_launch();
    }

    if (threadIdx.x == 0)
    {
        mbarrier_init(l.barriers, 1);
        mbarrier_init(l.barriers + 8, 1);
        mbarrier_fence_init();
        mbarrier_arrive_expect(l.barriers, chooses ? kRows * kBlocks * 4 << kOwnBits : 0);
        mbarrier_arrive_expect(l.barriers + 8, sorts ? p.tokens * p.top_k * 4 : 0);
    }

    cluster_arrive();
#pragma unroll 1
    for (int row = warp; row < p.terms * kRows; row += kWarps)
    {
        const int term = row / kRows, expert = row % kRows;
        const bool exists = expert < p.experts;
        fetch_row(l, l.weights + row * l.stride, p.weight + (exists ? ((i64)term * p.experts + expert) * p.hidden : 0), exists, p.hidden);
    }

    if (p.target.lets_next_begin_late())
    {
        wait_for_previous_launch();
        if (!sorts)
        {
            allow_next_launch();
        }
    }

    if (sorts && warp == kWarps - 1)
    {
        p.target.empty_early_offsets();
        allow_next_launch();
    }

    if (threadIdx.x < kRows)
    {
        bias[threadIdx.x] = p.bias != nullptr && threadIdx.x < p.experts ? p.bias[threadIdx.x] : 0.0f;
    }

    wait_for_previous_launch();
#pragma unroll 1
    for (int row = warp; row >> l.tile_bits == 0; row += kWarps)
    {
        const bool exists = token0 + row < p.tokens;
        fetch_row(l, l.columns + row * l.stride, p.x + (exists ? (token0 + row) * p.x_stride : 0), exists, p.hidden);
    }

    copy_async_wait_all();
    __syncthreads();
    multiply_share(l, p.terms, sums, q.part_bits);
    __syncthreads();

    // All blocks have begun, and made their barriers.
    cluster_wait();
    send_sums(l, sums, q.part_bits);
    if (!chooses)
    {
        return;
    }

    wait_received(l.barriers, 0);
    choose_for_token(l, p, choice, (const float*)(base + l.received), bias, token0 + (l.rank << kOwnBits) + warp);
    if (sorts)
    {
        wait_received(l.barriers + 8, 0);

        // The sort's counters take the place of the sums. Whoever sent those has read them, for they have come; but it is their arrival
        // that says so, which no tool that looks for races can follow.
        __syncthreads();
        sort_pairs<kThreads>((const int*)(base + l.ids), p.tokens * p.top_k, p.target, (int*)shared);
    }
}
}

extern "C" __global__ void __launch_bounds__(512, 2) moe_router_cluster(const __grid_constant__ ClusterRouterParameters q)
{
    route(q, PresetChoice());
}

extern "C" __global__ void __launch_bounds__(512, 2) moe_router_cluster_program(const __grid_constant__ ProgramClusterRouterParameters q)
{
    route(q.cluster, ProgramChoice{q.program});
}
