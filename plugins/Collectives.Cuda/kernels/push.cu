// All-reduce and reduce-scatter in one step: every rank pushes its rows to all that want them, and sums what it was pushed.
#include "rows.cuh"

/// One block a row and turn; blocks of a multiple of 32 threads with V · 16 bytes of a row each. The grid is the same on all ranks.
template <typename T, int V, int B, typename Words>
__global__ void __launch_bounds__(kMostThreads, 1) moe_push(const __grid_constant__ GroupParameters p)
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
    const i64 slot_bytes = (i64)p.row_bytes / 16 * Words::kBytes, sender_bytes = p.rows * slot_bytes;
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
            for (int i = 1; i < p.ranks; i++)
            {
                const int peer = p.rank + i < p.ranks ? p.rank + i : p.rank + i - p.ranks;
                if (p.spread != 0)
                {
                    v = *(const uint4*)(own + (i64)peer * p.spread * p.row_bytes);
                }

                if (state.y == 0)
                {
                    u8* slot = Words::set(p, peer, epoch) + sender_index(p.rank, peer) * sender_bytes + pushed * slot_bytes;
                    Words::write(slot + offset / 16 * Words::kBytes, v, epoch);
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
    u8* slots = Words::set(p, p.rank, epoch);
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
                u8* slot = slots + row * slot_bytes + offset / 16 * Words::kBytes;
                failed = sum_ranks<T, Words, B>(p, slot, sender_bytes, own, epoch, sum[k], failed);
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
                for (int i = 0; i < p.ranks - 1; i++)
                {
                    Words::clean(slots + i * sender_bytes + row * slot_bytes + offset / 16 * Words::kBytes);
                }
            }
        }
    }
}
