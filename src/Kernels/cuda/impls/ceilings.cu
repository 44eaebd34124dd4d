// What it takes to measure a device's ceilings: random values, so that nothing is faster than on real data, plain reading, and products.
#include "ptx/ptx.cuh"
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#include "ptx/wgmma.cuh"
#endif

struct FillParameters
{
    u32* target;  // pairs of BF16
    i64 count;    // pairs
};

/// BF16 values of either sign between 1/2 and 2, from a hash of their place (the finaliser of MurmurHash3).
extern "C" __global__ void __launch_bounds__(256) moe_fill(const __grid_constant__ FillParameters p)
{
    for (i64 i = (i64)blockIdx.x * 256 + threadIdx.x; i < p.count; i += (i64)gridDim.x * 256)
    {
        u32 h = (u32)i * 2654435761u + (u32)(i >> 32);
        h = (h ^ h >> 16) * 0x85ebca6bu;
        h = (h ^ h >> 13) * 0xc2b2ae35u;
        h ^= h >> 16;
        p.target[i] = h & 0x80ff80ffu | 0x3f003f00u;
    }
}

struct ReadParameters
{
    const uint4* source;
    u32* sink;   // [1], written only if the impossible happens: it keeps the reads alive
    i64 count;   // 16-byte pieces
};

extern "C" __global__ void __launch_bounds__(512) moe_read(const __grid_constant__ ReadParameters p)
{
    constexpr int kAtOnce = 8;
    const i64 stride = (i64)gridDim.x * 512;
    u32 sum = 0;
    for (i64 base = (i64)blockIdx.x * 512 + threadIdx.x; base < p.count; base += stride * kAtOnce)
    {
        uint4 v[kAtOnce];
#pragma unroll
        for (int i = 0; i < kAtOnce; i++)
        {
            const i64 at = base + i * stride;
            v[i] = at < p.count ? __ldcs(p.source + at) : make_uint4(0, 0, 0, 0);
        }

#pragma unroll
        for (int i = 0; i < kAtOnce; i++)
        {
            sum += v[i].x ^ v[i].y ^ v[i].z ^ v[i].w;
        }
    }

    if (sum == 0x12345678u && p.count < 0)
    {
        *p.sink = sum;
    }
}

struct MultiplyParameters
{
    const uint4* source;  // operands: 32 KB for the columns, the rows behind them
    float* sink;          // [1], as above
    int rounds;
};

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
namespace
{
constexpr int kColumnBytes = 32768;

/// Two warpgroups, each 64 rows in registers times 256 columns in shared memory, 128 bytes of k a round.
template <typename TMultiply>
__device__ __forceinline__ float multiply_on_chip(const MultiplyParameters& p, u32 mask, const TMultiply& multiply)
{
    __shared__ __align__(1024) uint4 columns[kColumnBytes / 16];
    auto load = [&](int i) {
        const uint4 v = p.source[i];
        return make_uint4(v.x & mask, v.y & mask, v.z & mask, v.w & mask);
    };
    const uint4 row = load(kColumnBytes / 16 + threadIdx.x);
    for (int i = threadIdx.x; i < kColumnBytes / 16; i += 256)
    {
        columns[i] = load(i);
    }

    fence_async_proxy();
    __syncthreads();
    const u64 descriptor = wgmma_descriptor(shared_address(columns));
    const u32 rows[4] = {row.x, row.y, row.z, row.w};
    float d[128] = {};
    for (int round = 0; round < p.rounds; round++)
    {
        wgmma_fence();
#pragma unroll
        for (int k = 0; k < 4; k++)
        {
            multiply(d, rows, descriptor + 2 * k);
        }

        wgmma_commit();
        wgmma_wait<0>();
    }

    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < 128; i++)
    {
        sum += d[i];
    }

    return sum;
}
}

/// The rate of FP8 products: 2^23 operations a block and round.
extern "C" __global__ void __launch_bounds__(256, 1) moe_multiply_e4m3(const __grid_constant__ MultiplyParameters p)
{
    // Without the highest bit of the exponent no byte is NaN.
    const float sum = multiply_on_chip(p, 0xbfbfbfbfu, [](float* d, const u32(&rows)[4], u64 columns) { wgmma_e4m3<256, true>(d, rows, columns); });
    if (p.rounds < 0)
    {
        *p.sink = sum;
    }
}
#endif

/// The rate of matrix products whose operands never leave the multiprocessor, for machines without cuBLAS. A block of 256 threads does
/// 2^22 operations a round, on either path.
extern "C" __global__ void __launch_bounds__(256, 1) moe_multiply(const __grid_constant__ MultiplyParameters p)
{
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
    const float sum = multiply_on_chip(p, ~0u, [](float* d, const u32(&rows)[4], u64 columns) { wgmma_bf16<256>(d, rows, columns); });
#else
    constexpr int kColumnBytes = 32768;
    const uint4 row = p.source[kColumnBytes / 16 + threadIdx.x];
    float sum = 0.0f;
    // Eight warps, each 16 independent sums of 16 × 8, so that none waits for the one before it.
    float d[16][4] = {};
    for (int round = 0; round < p.rounds; round++)
    {
#pragma unroll
        for (int i = 0; i < 128; i++)
        {
            mma_bf16(d[i % 16], row.x, row.y, row.z, row.w, row.y, row.x);
        }
    }

#pragma unroll
    for (int i = 0; i < 16; i++)
    {
        sum += d[i][0] + d[i][1] + d[i][2] + d[i][3];
    }
#endif

    if (p.rounds < 0)
    {
        *p.sink = sum;
    }
}
