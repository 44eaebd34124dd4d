// Layouts and descriptors of the tcgen05 products. Plain arithmetic without a device instruction, so that a host compiler takes it too;
// its host twins are NativeLayout and TcgenDescriptor.
#pragma once

constexpr int kMmaRows = 128, kMmaDepth = 32;  // of one matrix instruction
constexpr int kStepDepth = 128;                // inputs of a pipeline step: 128 bytes of shared memory a row, one tile of scales
constexpr int kScaleTileBytes = 512;           // scales of 128 rows by 4 blocks

/// Where a weight row of the first product lies. Gates (even rows) and ups (odd rows) are parted in stretches of 128, so that a stretch's
/// gates fill one accumulator's lanes and the ups of the same neurons those of the next: both of a neuron are one thread's.
__device__ __forceinline__ int gate_up_place(int row)
{
    const int neuron = row / 2;
    return neuron / kMmaRows * (2 * kMmaRows) + row % 2 * kMmaRows + neuron % kMmaRows;
}

/// What lies at a place: the inverse of gate_up_place.
__device__ __forceinline__ int gate_up_row(int place)
{
    return (place / (2 * kMmaRows) * kMmaRows + place % kMmaRows) * 2 + place / kMmaRows % 2;
}

/// The byte of an operand's tile in shared memory, K-major with 128-byte swizzle: rows of 128 bytes, of which the 16-byte pieces change
/// places with the row's low three bits (PTX ISA, "Swizzling modes").
__device__ __forceinline__ int swizzled_byte(int row, int byte)
{
    return row * 128 + (byte ^ row % 8 * 16);
}

/// Which of a tile's 128 rows has its four scales in this word: 16 bytes are four rows that are 32 apart.
__device__ __forceinline__ int scale_tile_row(int word)
{
    return word % 4 * 32 + word / 4;
}

/// A shared-memory matrix descriptor (PTX ISA, "Shared memory descriptor"; tcgen05): address and strides in units of 16 bytes, 0b001 in
/// bits 46 to 48. `stride` is the bytes from 8 rows to the next 8; there is one swizzled piece along K, so no leading stride.
__device__ __forceinline__ unsigned long long shared_descriptor(unsigned address, unsigned stride, unsigned swizzle)
{
    return (unsigned long long)(address >> 4 & 0x3fff) | (unsigned long long)(stride >> 4) << 32 | 1ull << 46 |
           (unsigned long long)swizzle << 61;
}

/// An operand's tile: 128-byte swizzle (2), 8 rows of 128 bytes after each other.
__device__ __forceinline__ unsigned long long operand_descriptor(unsigned address)
{
    return shared_descriptor(address, 8 * 128, 2);
}

/// A tile of scales for tcgen05.cp .32x128b: no swizzle, 8 rows of 16 bytes after each other.
__device__ __forceinline__ unsigned long long scales_descriptor(unsigned address)
{
    return shared_descriptor(address, 8 * 16, 0);
}

/// The instruction descriptor of kind mxf8f6f4 (PTX ISA, "Instruction descriptor"): A is E2M1 (5), B is E4M3 (0), both K-major, scales are
/// E8M0; of each lane's word of four scales, byte `k` belongs to this instruction's 32 inputs.
__device__ __forceinline__ unsigned block_scaled_instruction(int columns, int k)
{
    return k << 4 | 5u << 7 | 0u << 10 | (unsigned)(columns >> 3) << 17 | 1u << 23 | (unsigned)(kMmaRows >> 4) << 24 | (unsigned)k << 29;
}

/// The selectors of the two byte permutations by which four lanes transpose 4 × 4 bytes: a lane brings one row of four columns' bytes and
/// leaves with one column. First with lane ^ 1, then with lane ^ 2.
__device__ __forceinline__ unsigned transpose_selector(int lane, int round)
{
    return round == 0 ? (lane & 1 ? 0x3715u : 0x6240u) : (lane & 2 ? 0x3276u : 0x5410u);
}
