// Widens rows of MXFP8 to BF16, which has a number for each of theirs: in the order of the sorted pairs, as gather.cu brings BF16 rows, or
// in their own.
#include "formats/mxfp8.cuh"

struct GatherMxfp8Parameters
{
    const u8* codes;          // E4M3 [tokens, stride], 8-byte aligned
    const u8* scales;         // E8M0 [tokens, stride / 32]
    u16* out;                 // BF16 [rows, columns]
    const int* sorted_pairs;  // [pairs], a pair is token · top_k + k; null: rows are tokens
    int stride;               // codes, a multiple of 32
    int columns;              // a multiple of 8
    int rows;                 // tokens, or tokens · top_k: as many pairs as there are at most
    int top_k;
    const int* pairs;         // how many of them there are, on the device; used with sorted_pairs
};

/// A warp a row; blocks of 256 threads, any number of them.
extern "C" __global__ void __launch_bounds__(256) moe_gather_mxfp8(const __grid_constant__ GatherMxfp8Parameters p)
{
    constexpr int kAtOnce = 6;
    wait_for_previous_launch();
    allow_next_launch();
    const int lane = threadIdx.x % 32, pieces = p.columns / 8, rows = p.sorted_pairs == nullptr ? p.rows : load_coherent(p.pairs);
    for (int place = blockIdx.x * 8 + threadIdx.x / 32; place < p.rows; place += gridDim.x * 8)
    {
        // Read before it is known whether there is such a place: both answers come together.
        const int row = p.sorted_pairs == nullptr ? place : load_coherent(p.sorted_pairs + place);
        if (place >= rows)
        {
            return;
        }

        const i64 token = p.sorted_pairs == nullptr ? row : row / p.top_k;
        const uint2* from = (const uint2*)(p.codes + token * p.stride);
        const u8* scales = p.scales + token * (p.stride / kMxBlock);
        uint4* to = (uint4*)(p.out + (i64)place * p.columns);
        for (int base = lane; base < pieces; base += 32 * kAtOnce)
        {
            uint2 codes[kAtOnce];
            u32 scale[kAtOnce];
#pragma unroll
            for (int i = 0; i < kAtOnce; i++)
            {
                const int piece = min(base + i * 32, pieces - 1);
                codes[i] = from[piece];
                scale[i] = scales[piece / 4];
            }

#pragma unroll
            for (int i = 0; i < kAtOnce; i++)
            {
                const u32 both = scale[i] | scale[i] << 16;
                auto widen = [&](u32 four, u32 bytes) { return widen_e4m3x2(__byte_perm(four, 0, bytes), both); };
                if (base + i * 32 < pieces)
                {
                    to[base + i * 32] = make_uint4(widen(codes[i].x, 0x1404), widen(codes[i].x, 0x3424), widen(codes[i].y, 0x1404), widen(codes[i].y, 0x3424));
                }
            }
        }
    }
}
