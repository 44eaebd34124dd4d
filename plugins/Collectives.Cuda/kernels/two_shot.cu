// All-reduce in two steps: each row has an owner, who sums what the others push to it, and pushes the rounded sum back. Fewer bytes than in one step
// from three ranks on, and the same bits.
#include "rows.cuh"

/// One block a row and turn, blocks as in moe_push. The grid is a multiple of the ranks and the same on all of them; there are no fewer rows than ranks.
template <typename T, int V, int kThreads, int B>
__global__ void __launch_bounds__(kThreads, blocks_at_once(kThreads)) moe_two_shot(const __grid_constant__ GroupParameters p)
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
    bool failed = state.y != 0;
    const i64 shares = (p.rows + p.ranks - 1) / p.ranks, sender_bytes = shares * p.row_bytes, gathered = (p.ranks - 1) * sender_bytes;

    // Every turn of a block has another owner, so that each block sums as much as it collects. Of `ranks` rows in a row each rank owns one.
    const auto owner = [&](int row) { return (row + row / (int)gridDim.x) % p.ranks; };
    int pushed = (int)blockIdx.x;
    const auto push = [&]()
    {
        const int to = owner(pushed);
        if (to != p.rank && !failed)
        {
            u8* slot = set_of(p, to, epoch) + sender_index(p.rank, to) * sender_bytes + (i64)(pushed / p.ranks) * p.row_bytes;
#pragma unroll
            for (int k = 0; k < V; k++)
            {
                const int offset = plan.offset(k);
                if (offset < p.row_bytes)
                {
                    write_slot(slot + offset, *(const uint4*)(p.partial + (i64)pushed * p.row_bytes + offset));
                }
            }
        }

        pushed += (int)gridDim.x;
    };

    for (int i = 0; i < p.ahead && pushed < p.rows; i++)
    {
        push();
    }

    __syncthreads();
    if (threadIdx.x == blockDim.x - 1 && state.y == 0)
    {
        count_call(p, epoch);
    }

    u8* set = set_of(p, p.rank, epoch);
    int turn = 0;
    const auto reduce = [&](int row)
    {
        uint4 residual[V], rounded[V];
        load_residual<V>(p, row, residual);
        float sum[V][Piece<T>::kValues];
        u8* slot = set + (i64)(row / p.ranks) * p.row_bytes;
#pragma unroll
        for (int k = 0; k < V; k++)
        {
            const int offset = plan.offset(k);
            if (offset < p.row_bytes)
            {
                const uint4 own = *(const uint4*)(p.partial + (i64)row * p.row_bytes + offset);
                failed = sum_ranks<T, B>(p, slot + offset, sender_bytes, own, sum[k], failed);
            }
        }

        round_row<T, V>(p, sum, residual, rounded);
#pragma unroll
        for (int k = 0; k < V; k++)
        {
            const int offset = plan.offset(k);
            if (offset < p.row_bytes && !failed)
            {
                for (int i = 1; i < most_ranks<B>(p); i++)
                {
                    if (i >= p.ranks)
                    {
                        break;
                    }

                    const int peer = next_rank(p, i);
                    write_slot(set_of(p, peer, epoch) + gathered + (i64)row * p.row_bytes + offset, rounded[k]);
                }
            }
        }

        failed = finish_row<T, V>(p, plan, row, rounded, turn++, failed);
#pragma unroll
        for (int k = 0; k < V; k++)
        {
            const int offset = plan.offset(k);
            for (int i = 0; i < most_ranks<B>(p) - 1 && offset < p.row_bytes && !failed; i++)
            {
                if (i < p.ranks - 1)
                {
                    empty_slot(slot + i * sender_bytes + offset);
                }
            }
        }
    };

    const auto collect = [&](int row)
    {
        uint4 rounded[V];
        u8* slot = set + gathered + (i64)row * p.row_bytes;
        const int from = owner(row);
#pragma unroll
        for (int k = 0; k < V; k++)
        {
            const int offset = plan.offset(k);
            Patience patience;
            while (offset < p.row_bytes && !failed && !read_slot(slot + offset, rounded[k]))
            {
                failed = is_over<B == kMostAtOnce>(p, patience, from);
            }
        }

        failed = finish_row<T, V>(p, plan, row, rounded, turn++, failed);
#pragma unroll
        for (int k = 0; k < V; k++)
        {
            if (plan.offset(k) < p.row_bytes && !failed)
            {
                empty_slot(slot + plan.offset(k));
            }
        }
    };

    // Own rows are summed half as far ahead of those that are collected as rows are pushed.
    int reduced = (int)blockIdx.x;
    for (int row = (int)blockIdx.x; row < p.rows && !failed; row += (int)gridDim.x)
    {
        if (pushed < p.rows)
        {
            push();
        }

        for (const int until = row + (p.ahead + 1) / 2 * (int)gridDim.x; reduced < p.rows && reduced <= until && !failed; reduced += (int)gridDim.x)
        {
            if (owner(reduced) == p.rank)
            {
                reduce(reduced);
            }
        }

        if (owner(row) != p.rank)
        {
            collect(row);
        }
    }
}
