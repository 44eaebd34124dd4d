// What stands before and behind a sum that another library makes: float32, since that is what sums over ranks are of, whatever the rows are.
#include "rows.cuh"

struct WidenParameters
{
    const u8* from;
    u8* to;
    i64 pieces;  // of eight values
};

/// BF16 values as float32, eight a thread and turn.
extern "C" __global__ void __launch_bounds__(512) moe_widen(const __grid_constant__ WidenParameters p)
{
    wait_for_previous_launch();
    allow_next_launch();
    for (i64 i = (i64)blockIdx.x * blockDim.x + threadIdx.x; i < p.pieces; i += (i64)gridDim.x * blockDim.x)
    {
        float v[8] = {};
        Piece<u16>::add_to(v, ((const uint4*)p.from)[i]);
        ((float4*)p.to)[2 * i] = make_float4(v[0], v[1], v[2], v[3]);
        ((float4*)p.to)[2 * i + 1] = make_float4(v[4], v[5], v[6], v[7]);
    }
}

/// The residual, the RMSNorm, and the caller's strides. One block a row and turn, blocks as in moe_push. `partial` is the sum, dense, of values
/// of type S; nothing of the group is used.
template <typename T, typename S, int V, int kThreads>
__global__ void __launch_bounds__(kThreads, blocks_at_once(kThreads)) moe_add_norm(const __grid_constant__ GroupParameters p)
{
    constexpr int kValues = Piece<T>::kValues;
    RowPlan<T, V> plan;
    plan.load_weight(p);
    wait_for_previous_launch();
    allow_next_launch();
    int turn = 0;
    for (i64 row = (int)blockIdx.x; row < p.rows; row += (int)gridDim.x)
    {
        uint4 residual[V], rounded[V];
        load_residual<V>(p, row, residual);
        float sum[V][kValues];
#pragma unroll
        for (int k = 0; k < V; k++)
        {
            const i64 first = (row * p.row_bytes + plan.offset(k)) / 16 * kValues;
            constexpr int kAtOnce = Piece<S>::kValues;
#pragma unroll
            for (int i = 0; i < kValues; i++)
            {
                sum[k][i] = 0;
            }

#pragma unroll
            for (int i = 0; i < kValues; i += kAtOnce)
            {
                if (plan.offset(k) < p.row_bytes)
                {
                    Piece<S>::add_to(*(float(*)[kAtOnce])&sum[k][i], *(const uint4*)((const S*)p.partial + first + i));
                }
            }
        }

        round_row<T, V>(p, sum, residual, rounded);
        finish_row<T, V>(p, plan, row, rounded, turn++, false);
    }
}
