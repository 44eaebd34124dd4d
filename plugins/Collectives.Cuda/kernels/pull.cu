// All-reduce and reduce-scatter by reading: ranks meet, each reads all ranks' rows that it wants, and they meet again before anybody may write its rows
// anew.
#include "rows.cuh"

/// One block for R rows a turn, blocks as in moe_push. The grid is the same on all ranks.
/// kSome: of reduce-scatters that leave out ranks which have none of a token's experts (p.experts).
template <typename T, int V, int kThreads, int B, int R, bool kSome = false>
__global__ void __launch_bounds__(kThreads, blocks_at_once(kThreads)) moe_pull(const __grid_constant__ GroupParameters p)
{
    if (p.may_overlap)
    {
        allow_next_launch();
    }

    RowPlan<T, V> plan;
    plan.load_weight(p);
    wait_for_previous_launch();

    const uint4 state = read_state(p);
    const u32 epoch = state.x;
    bool failed = state.y != 0 || meet(p, epoch, 0);
    failed = __syncthreads_or(failed);
    if (threadIdx.x == blockDim.x - 1 && state.y == 0)
    {
        count_call(p, epoch);
    }

    const i64 wanted = (i64)p.rank * p.spread;
    int turn = 0;
    for (int first = (int)blockIdx.x; first < p.rows && !failed; first += R * (int)gridDim.x)
    {
        uint4 got[R][V][B], residual[R][V];
        u64 from[R];
#pragma unroll
        for (int r = 0; r < R; r++)
        {
            const i64 row = first + r * (int)gridDim.x;
            from[r] = kSome && row < p.rows ? ranks_of(p.experts, p.rank, (int)row) : ~0ull;
#pragma unroll
            for (int k = 0; k < V; k++)
            {
                const int offset = plan.offset(k);
#pragma unroll
                for (int i = 0; i < B; i++)
                {
                    if (i < p.ranks && offset < p.row_bytes && row < p.rows && (from[r] >> i & 1) != 0)
                    {
                        got[r][k][i] = *(const uint4*)(p.memory[i] + p.partial_offset + (wanted + row) * p.row_bytes + offset);
                    }
                }
            }

            if (kSome)
            {
                // What is scattered has none.
#pragma unroll
                for (int k = 0; k < V; k++)
                {
                    residual[r][k] = make_uint4(0, 0, 0, 0);
                }
            }
            else if (row < p.rows)
            {
                load_residual<V>(p, row, residual[r]);
            }
        }

#pragma unroll
        for (int r = 0; r < R; r++)
        {
            const i64 row = first + r * (int)gridDim.x;
            if (row >= p.rows)
            {
                break;
            }

            float sum[V][Piece<T>::kValues];
            uint4 rounded[V];
            sum_parts<T, V, B>(p, plan, wanted + row, got[r], sum, from[r]);
            round_row<T, V>(p, sum, residual[r], rounded);
            finish_row<T, V>(p, plan, row, rounded, turn++, false);
        }
    }

    __syncthreads();
    if (!failed)
    {
        meet(p, epoch, 1);
    }
}
