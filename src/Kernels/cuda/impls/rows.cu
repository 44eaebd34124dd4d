// Copies the caller's rows into dense BF16 rows with 16-byte alignment: for float32 activations, and for rows that begin or step
// where the products can't read. Blocks of 256 threads, one row each: grid (tokens).
#include "ptx/ptx.cuh"

struct RowsParameters
{
    const void* source;  // [rows, source_stride], float32, or BF16 if source_is_bf16
    u16* target;         // [rows, columns]
    i64 source_stride;   // elements
    int columns;
    int source_is_bf16;
};

extern "C" __global__ void __launch_bounds__(256) moe_rows_to_bf16(const __grid_constant__ RowsParameters p)
{
    allow_next_launch();
    wait_for_previous_launch();
    const i64 row = blockIdx.x;
    for (int column = threadIdx.x; column < p.columns; column += 256)
    {
        const i64 from = row * p.source_stride + column;
        p.target[row * p.columns + column] =
            p.source_is_bf16 ? ((const u16*)p.source)[from] : float_to_bf16(((const float*)p.source)[from]);
    }
}
