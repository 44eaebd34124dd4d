// The epilogue of a first product whose results are the E4M3 operand of the second: one scale a token for all neurons of a tile.
#pragma once
#include "epilogue/round_mxfp8.cuh"
#include "epilogue/store_tile.cuh"
#include "formats/mxfp4_e4m3.cuh"

/// A barrier of all storing warpgroups together.
constexpr int kGroupsBarrier = 1;

/// How kGroups warpgroups with kBands bands of 64 rows each round a tile together.
template <int kGroups, int kBands>
struct StoreE4m3
{
    static constexpr int kAtOnce = 64, kEach = kAtOnce / 8;   // tokens, and of them the lanes' pairs
    static constexpr int kPitch = kBands * 32 + 16;         // bytes of a token's codes of a warpgroup: no two lanes of a warp write to one bank
    static constexpr int kStagedBytes = kAtOnce * kPitch;   // a warpgroup's
    static constexpr int kLargestBytes = 2 * kGroups * mxfp8_pairs(kAtOnce) * 16;
    static_assert(kBands <= 2, "the pitch");

    /// Results of a tile's tokens, from sums of gates and ups. `row_scales`, in shared memory, are the tokens', which fetch_pairs has fetched. `largest` is the block's kLargestBytes, `staged` the warpgroup's kStagedBytes; `turn` counts
    /// what was rounded, the same for all threads. Rows of codes are in the order of e4m3_place; `out_scales` gets a scale a token.
    template <int kColumns, int kStride, typename TActivation>
    static __device__ __forceinline__ void store(const TActivation& activation, const Tile& tile, float (&d)[kBands][kStride], char* staged, uint4* largest,
                                                 u32& turn, int group, const float* bias, const float* factor, const float* row_scales, int intermediate, u8* out,
                                                 i64 out_stride, u8* out_scales)
    {
        const int thread = threadIdx.x % 128, lane = thread % 32, warp = thread / 32, g = lane / 4, t = lane % 4;
        const int column0 = tile.row0 / 2 + group * kBands * 32;
        float2 f[kBands], b[kBands];
#pragma unroll
        for (int band = 0; band < kBands; band++)
        {
            // Rows that there are not count for nothing: their factor and bias are 0, and so are their results.
            const int mine = column0 + band * 32 + warp * 8 + g;
            const i64 row = 2 * ((i64)tile.expert * intermediate + mine);
            f[band] = mine < intermediate ? *(const float2*)(factor + row) : make_float2(0, 0);
            b[band] = bias != nullptr && mine < intermediate ? *(const float2*)(bias + row) : make_float2(0, 0);
        }

        // Tokens' scales have come.
        copy_async_wait_all();
        named_barrier(kGroupBarrier + group, 128);
        u8* const mine = (u8*)staged + 2 * t * kPitch + e4m3_place(warp * 8 + g);
#pragma unroll
        for (int part = 0; part < kColumns; part += kAtOnce)
        {
            uint4* const own = largest + (turn++ & 1) * (kGroups * mxfp8_pairs(kAtOnce));
            u32 magnitudes[kEach] = {};
#pragma unroll
            for (int i = 0; i < kEach; i++)
            {
                const int at = part / 2 + i * 4;
                if (at < kColumns / 2)
                {
                    const float2 scale = *(const float2*)(row_scales + part + i * 8 + 2 * t);
#pragma unroll
                    for (int band = 0; band < kBands; band++)
                    {
                        float* v = d[band] + at;
                        v[0] = activation(v[0] * scale.x * f[band].x + b[band].x, v[2] * scale.x * f[band].y + b[band].y);
                        v[1] = activation(v[1] * scale.y * f[band].x + b[band].x, v[3] * scale.y * f[band].y + b[band].y);
                        if (column0 + band * 32 >= intermediate)
                        {
                            v[0] = v[1] = 0;  // what lies behind the last row may be anything, NaN too
                        }

                        magnitudes[i] = max_bf16x2(magnitudes[i], magnitudes_bf16x2(v[0], v[1]));
                    }
                }
            }

#pragma unroll
            for (int i = 0; i < kEach; i += 4)
            {
                publish_magnitudes(own + group * mxfp8_pairs(kAtOnce), i * 4, warp, *(const u32(*)[4])(magnitudes + i));
            }

            named_barrier(kGroupsBarrier, kGroups * 128);
#pragma unroll
            for (int i = 0; i < kEach; i++)
            {
                const int at = part / 2 + i * 4;
                if (at < kColumns / 2)
                {
                    u32 most = 0;
#pragma unroll
                    for (int other = 0; other < kGroups; other++)
                    {
                        const uint4 all = own[other * mxfp8_pairs(kAtOnce) + i * 4 + t];
                        most = max_bf16x2(most, max_bf16x2(max_bf16x2(all.x, all.y), max_bf16x2(all.z, all.w)));
                    }

                    const u32 scales = mxfp8_scales(most), low = e4m3_scale_exponent(scales & 0xffff), high = e4m3_scale_exponent(scales >> 16);
                    const float first = __uint_as_float(0x7f000000u - (low << 23)), second = __uint_as_float(0x7f000000u - (high << 23));
#pragma unroll
                    for (int band = 0; band < kBands; band++)
                    {
                        const float* v = d[band] + at;
                        const u32 codes = pack_e4m3(v[0] * first, v[1] * second);
                        u8* const to = mine + i * 8 * kPitch + band * 32;
                        to[0] = (u8)codes;
                        to[kPitch] = (u8)(codes >> 8);
                    }

                    const int token = part + i * 8 + 2 * t;
                    if (group == 0 && thread < 4 && token < tile.count)
                    {
                        // Scale byte 0 stands for 0, as it does where it is widened.
                        *(u16*)(out_scales + scale_slot(token)) = (u16)(low / 2 | high << 7);
                    }
                }
            }

            named_barrier(kGroupBarrier + group, 128);
            const int column = thread % (2 * kBands) * 16;
            for (int token = thread / (2 * kBands); token < min(kAtOnce, tile.count - part) && column0 + column < intermediate; token += 64 / kBands)
            {
                *(uint4*)(out + (i64)(tile.first + part + token) * out_stride + column0 + column) = *(const uint4*)(staged + token * kPitch + column);
            }
        }
    }
};
