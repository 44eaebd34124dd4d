// Brings a checkpoint's weights into the layout that the products read: BF16 [rows, inputs], dense.
#include "ptx/types.cuh"

struct WidenParameters
{
    const uint4* blocks;  // MXFP4 codes, 16 bytes a block of 32, low nibble first
    const u8* scales;     // E8M0, one a block
    uint4* out;           // BF16, 64 bytes a block
    i64 count;            // blocks
};

/// E2M1 · 2^(scale − 127), exact in BF16 but for overflow to infinity (OCP Microscaling Formats v1.0, §5.3.3 and §5.4.1).
__device__ __forceinline__ float widen(u32 code, float scale)
{
    const u32 exponent = code / 2 & 3, mantissa = code & 1;
    const float magnitude = exponent == 0 ? 0.5f * mantissa : (float)((2 + mantissa) << exponent) * 0.25f;
    return (code & 8 ? -magnitude : magnitude) * scale;
}

/// Blocks of 256 threads, a thread a block of 32.
extern "C" __global__ void __launch_bounds__(256) bf16_load_widen(const __grid_constant__ WidenParameters p)
{
    const i64 block = (i64)blockIdx.x * 256 + threadIdx.x;
    if (block >= p.count)
    {
        return;
    }

    const uint4 codes = p.blocks[block];
    const u32 e = p.scales[block];
    const float scale = __uint_as_float(e == 255 ? 0x7fc00000u : e == 0 ? 0x00400000u : e << 23);
    const u32 words[4] = {codes.x, codes.y, codes.z, codes.w};
#pragma unroll
    for (int i = 0; i < 4; i++)
    {
        u32 pairs[4];
#pragma unroll
        for (int j = 0; j < 4; j++)
        {
            const u32 byte = words[i] >> 8 * j & 0xff;
            pairs[j] = pack_bf16(widen(byte & 15, scale), widen(byte >> 4, scale));
        }

        p.out[block * 4 + i] = make_uint4(pairs[0], pairs[1], pairs[2], pairs[3]);
    }
}
