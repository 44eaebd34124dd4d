// Matrix instructions of a warp and of a warpgroup on threads of the host. Sums are in float32, in the order of the inner dimension.
#pragma once
#include "host_ptx.cuh"

/// PTX ISA 9.7.14.5.16, stmatrix: lanes 8m … 8m + 7 give the rows of matrix m; lane l has (l / 4, 2 (l % 4)) and the one after it, transposed here.
inline void store_matrix_transposed_x4(u32 shared, u32 a, u32 b, u32 c, u32 d)
{
    Warp& warp = block->warps[threadIdx.x / 32];
    const int lane = threadIdx.x % 32;
    warp.rows[lane] = (u16*)shared_at(shared, 16);
    warp.barrier.arrive_and_wait();
    const u32 words[4] = {a, b, c, d};
    for (int m = 0; m < 4; m++)
    {
        warp.rows[8 * m + lane % 4 * 2][lane / 4] = (u16)words[m];
        warp.rows[8 * m + lane % 4 * 2 + 1][lane / 4] = (u16)(words[m] >> 16);
    }

    warp.barrier.arrive_and_wait();
}

/// PTX ISA 9.7.14.5.15, ldmatrix: lanes 8m … 8m + 7 give the rows of matrix m; lane l gets (l / 4, 2 (l % 4)) and the one after it.
inline void load_matrix_x4(u32 (&v)[4], u32 shared)
{
    Warp& warp = block->warps[threadIdx.x / 32];
    const int lane = threadIdx.x % 32;
    warp.rows[lane] = (u16*)shared_at(shared, 16);
    warp.barrier.arrive_and_wait();
    for (int m = 0; m < 4; m++)
    {
        v[m] = ((const u32*)warp.rows[8 * m + lane / 4])[lane % 4];
    }

    warp.barrier.arrive_and_wait();
}

/// Row g (upper: g + 8) of the first operand at k, g being the lane's quarter (PTX ISA 9.7.14.5.8).
inline float first_operand(const Warp& warp, int lane, bool upper, int k)
{
    const u32 word = warp.operands[lane / 4 * 4 + k % 8 / 2][(k >= 8) * 2 + upper];
    return from_bf16(word >> 16 * (k % 2) & 0xffff);
}

inline void mma_bf16(float (&c)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1)
{
    Warp& warp = block->warps[threadIdx.x / 32];
    const int lane = threadIdx.x % 32;
    const u32 mine[6] = {a0, a1, a2, a3, b0, b1};
    std::memcpy(warp.operands[lane], mine, sizeof(mine));
    warp.barrier.arrive_and_wait();
    for (int i = 0; i < 4; i++)
    {
        const int column = lane % 4 * 2 + i % 2;
        for (int k = 0; k < 16; k++)
        {
            const u32 word = warp.operands[column * 4 + k % 8 / 2][4 + (k >= 8)];
            c[i] += first_operand(warp, lane, i >= 2, k) * from_bf16(word >> 16 * (k % 2) & 0xffff);
        }
    }

    warp.barrier.arrive_and_wait();
}

inline void mma_bf16_k32(float (&c)[4], const uint4& low, const uint4& high, const uint4& column)
{
    mma_bf16(c, low.x, high.x, low.y, high.y, column.x, column.y);
    mma_bf16(c, low.z, high.z, low.w, high.w, column.z, column.w);
}

// ---- a warpgroup's (PTX ISA 9.7.15)

inline u64 wgmma_descriptor(u32 shared) { return shared >> 4; }
inline void wgmma_fence() {}
inline void wgmma_commit() {}

template <int>
inline void wgmma_wait() {}

template <int>
inline void registers_raise() {}

template <int>
inline void registers_lower() {}

/// A value of an operand in shared memory: rows of 128 bytes, swizzled.
inline float shared_operand(u64 descriptor, int row, int k)
{
    return from_bf16(*(const u16*)shared_at(swizzled_128b((u32)descriptor * 16 + row * 128 + k * 2), 2));
}

template <int kColumns>
inline void wgmma_bf16(float* d, const u32 (&rows)[4], u64 columns)
{
    Warp& warp = block->warps[threadIdx.x / 32];
    const int lane = threadIdx.x % 32;
    std::memcpy(warp.operands[lane], rows, sizeof(rows));
    warp.barrier.arrive_and_wait();
    for (int i = 0; i < kColumns / 2; i++)
    {
        const int column = i / 4 * 8 + lane % 4 * 2 + i % 2;
        for (int k = 0; k < 16; k++)
        {
            d[i] += first_operand(warp, lane, i % 4 >= 2, k) * shared_operand(columns, column, k);
        }
    }

    warp.barrier.arrive_and_wait();
}

/// E4M3: four bits of exponent with bias 7, three of mantissa (OCP 8-bit Floating Point Specification, table 1).
inline float from_e4m3(u32 code)
{
    const int exponent = code >> 3 & 15, mantissa = code & 7;
    const float magnitude = (code & 0x7f) == 0x7f ? NAN : exponent == 0 ? std::ldexp((float)mantissa, -9) : std::ldexp(8.0f + mantissa, exponent - 10);
    return code & 0x80 ? -magnitude : magnitude;
}

/// Row g (upper: g + 8) of the first operand: registers 0 and 1 have k = 4t to 4t + 3, the others those 16 further.
template <int kColumns, bool kAdds>
inline void wgmma_e4m3(float* d, const u32 (&rows)[4], u64 columns)
{
    Warp& warp = block->warps[threadIdx.x / 32];
    const int lane = threadIdx.x % 32;
    std::memcpy(warp.operands[lane], rows, sizeof(rows));
    warp.barrier.arrive_and_wait();
    float first[2][32];
    for (int k = 0; k < 32; k++)
    {
        for (int upper = 0; upper < 2; upper++)
        {
            first[upper][k] = from_e4m3(warp.operands[lane / 4 * 4 + k % 16 / 4][k / 16 * 2 + upper] >> k % 4 * 8 & 0xff);
        }
    }

    for (int i = 0; i < kColumns / 2; i++)
    {
        const int column = i / 4 * 8 + lane % 4 * 2 + i % 2;
        float sum = kAdds ? d[i] : 0;
        for (int k = 0; k < 32; k++)
        {
            sum += first[i % 4 >= 2][k] * from_e4m3((u8)*shared_at(swizzled_128b((u32)columns * 16 + column * 128 + k), 1));
        }

        d[i] = sum;
    }

    warp.barrier.arrive_and_wait();
}

template <int kColumns>
inline void wgmma_bf16(float* d, u64 rows, u64 columns)
{
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4;
    for (int i = 0; i < kColumns / 2; i++)
    {
        const int row = warp * 16 + lane / 4 + (i % 4 >= 2) * 8, column = i / 4 * 8 + lane % 4 * 2 + i % 2;
        for (int k = 0; k < 16; k++)
        {
            d[i] += shared_operand(rows, row, k) * shared_operand(columns, column, k);
        }
    }

    // The lanes of a warp do this together: none goes on to release what another still reads.
    block->warps[threadIdx.x / 32].barrier.arrive_and_wait();
}
