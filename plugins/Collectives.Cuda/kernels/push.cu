// All-reduce and reduce-scatter in one step: every rank pushes its rows to all that want them, and sums what it was pushed.
#include "rows.cuh"

/// One block a row and turn; blocks of kThreads, a multiple of 32, with V · 16 bytes of a row each. The grid is the same on all ranks.
template <typename T, int V, int kThreads, int B>
__global__ void __launch_bounds__(kThreads, blocks_at_once(kThreads)) moe_push(const __grid_constant__ GroupParameters p)
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
    bool failed = false;
    const i64 sender_bytes = (i64)p.rows * p.row_bytes;
    int pushed = (int)blockIdx.x;
    const auto push = [&]()
    {
#pragma unroll
        for (int k = 0; k < V; k++)
        {
            const int offset = plan.offset(k);
            if (offset >= p.row_bytes)
            {
                continue;
            }

            const u8* own = p.partial + (i64)pushed * p.row_bytes + offset;
            uint4 v = *(const uint4*)own;
            for (int i = 1; i < most_ranks<B>(p); i++)
            {
                const int peer = next_rank(p, i);
                if (i >= p.ranks)
                {
                    break;
                }

                if (p.spread != 0)
                {
                    v = *(const uint4*)(own + (i64)peer * p.spread * p.row_bytes);
                }

                if (state.y == 0)
                {
                    u8* row = set_of(p, peer, epoch) + sender_index(p.rank, peer) * sender_bytes + (i64)pushed * p.row_bytes;
                    write_slot(row + offset, v);
                }
            }
        }

        pushed += (int)gridDim.x;
    };

    for (int i = 0; i < p.ahead && pushed < p.rows; i++)
    {
        push();
    }

    // Behind the first pushes, which it must not hold up; the number has been read by then, and there is time until the answers come.
    __syncthreads();
    if (threadIdx.x == blockDim.x - 1 && state.y == 0)
    {
        count_call(p, epoch);
    }

    failed = state.y != 0;
    u8* set = set_of(p, p.rank, epoch);
    int turn = 0;
    for (int row = (int)blockIdx.x; row < p.rows; row += (int)gridDim.x, turn++)
    {
        if (pushed < p.rows)
        {
            push();
        }

        uint4 residual[V], rounded[V];
        load_residual<V>(p, row, residual);
        float sum[V][Piece<T>::kValues];
#pragma unroll
        for (int k = 0; k < V; k++)
        {
            const int offset = plan.offset(k);
            if (offset < p.row_bytes)
            {
                const uint4 own = *(const uint4*)(p.partial + ((i64)p.rank * p.spread + row) * p.row_bytes + offset);
                failed = sum_ranks<T, B>(p, set + (i64)row * p.row_bytes + offset, sender_bytes, own, sum[k], failed);
            }
        }

        round_row<T, V>(p, sum, residual, rounded);
        failed = finish_row<T, V>(p, plan, row, rounded, turn, failed);
        if (failed)
        {
            // All threads where there is a norm; else each sees it for itself.
            break;
        }

#pragma unroll
        for (int k = 0; k < V; k++)
        {
            const int offset = plan.offset(k);
            if (offset < p.row_bytes)
            {
                for (int i = 0; i < most_ranks<B>(p) - 1; i++)
                {
                    if (i < p.ranks - 1)
                    {
                        empty_slot(set + i * sender_bytes + (i64)row * p.row_bytes + offset);
                    }
                }
            }
        }
    }
}
