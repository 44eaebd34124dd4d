// Brings rows of MXFP8 into the order of the sorted pairs for mxfp4_fp8.cu: E4M3 with one scale for a whole row, the largest of its blocks', blocks of 32 in
// the order of e4m3_place. A block of a smaller scale is rounded again: what becomes subnormal, below 2^-14 of the row's largest, loses bits, everything
// else stays what it is.
#include "formats/mxfp4_e4m3.cuh"
#include "formats/mxfp8.cuh"

struct GatherE4m3Parameters
{
    const u8* codes;          // E4M3 [tokens, stride], 16-byte aligned
    const u8* scales;         // E8M0 [tokens, stride / 32]
    u8* out;                  // E4M3 [sorted pairs, columns]
    float* out_scales;        // [sorted pairs]
    const int* sorted_pairs;  // [pairs], a pair is token · top_k + k
    const int* expert_offsets;
    int stride;               // codes, a multiple of 32
    int columns;              // a multiple of 32, at most stride
    int top_k;
    int experts;
};

/// Four codes times a power of two (widen_e4m3x2), rounded again.
__device__ __forceinline__ u32 rescale_e4m3(u32 codes, u32 powers)
{
    const u32 first = widen_e4m3x2(codes, powers), second = widen_e4m3x2(codes >> 16, powers);
    auto pack = [](u32 pair) { return pack_e4m3(__uint_as_float(pair << 16), __uint_as_float(pair & 0xffff0000u)); };
    return pack(first) | pack(second) << 16;
}

/// 16 inputs in the order of e4m3_place.
__device__ __forceinline__ uint4 place_e4m3(const u32* words)
{
    return make_uint4(__byte_perm(words[0], words[2], 0x5410), __byte_perm(words[0], words[2], 0x7632), __byte_perm(words[1], words[3], 0x5410),
                      __byte_perm(words[1], words[3], 0x7632));
}

/// A warp a row, a lane a block; blocks of 256 threads, any number of them.
extern "C" __global__ void __launch_bounds__(256) moe_gather_e4m3(const __grid_constant__ GatherE4m3Parameters p)
{
    wait_for_previous_launch();
    allow_next_launch();
    const int lane = threadIdx.x % 32, blocks = p.columns / kMxBlock, rows = load_coherent(p.expert_offsets + p.experts);
    for (int place = blockIdx.x * 8 + threadIdx.x / 32; place < rows; place += gridDim.x * 8)
    {
        const i64 token = load_coherent(p.sorted_pairs + place) / p.top_k;
        const uint4* from = (const uint4*)(p.codes + token * p.stride);
        const u8* scales = p.scales + token * (p.stride / kMxBlock);
        uint4* to = (uint4*)(p.out + (i64)place * p.columns);
        u32 largest = 0;
        for (int block = lane; block < blocks; block += 32)
        {
            largest = max(largest, (u32)scales[block]);
        }

        largest = __reduce_max_sync(~0u, largest);
        for (int block = lane; block < blocks; block += 32)
        {
            const u32 scale = scales[block];
            const uint4 codes[2] = {from[block * 2], from[block * 2 + 1]};
            u32 words[8] = {codes[0].x, codes[0].y, codes[0].z, codes[0].w, codes[1].x, codes[1].y, codes[1].z, codes[1].w};
            if (scale != largest)
            {
                // Beyond 2^-20 all become 0. Scale byte 0 stands for 0.
                const u32 by = scale == 0 ? 0 : 127 - (u32)min((int)(largest - scale), 20), both = by << 7 | by << 23;
#pragma unroll
                for (int i = 0; i < 8; i++)
                {
                    words[i] = rescale_e4m3(words[i], both);
                }
            }

            to[block * 2] = place_e4m3(words);
            to[block * 2 + 1] = place_e4m3(words + 4);
        }

        if (lane == 0)
        {
            p.out_scales[place] = __uint_as_float(largest << 23);
        }
    }
}
