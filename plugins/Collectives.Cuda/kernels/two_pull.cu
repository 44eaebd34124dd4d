// All-reduce in two steps by reading: each row has an owner, who reads the others' parts and leaves the rounded sum where they read it. As few bytes as
// in two_shot.cu, no slots to write and to empty, and any number of rows in one launch. Three meetings: before parts are read, before sums are, and
// before anybody may write its parts anew.
#include "rows.cuh"

/// Rows that a block reads at once in the second step: as many pieces under way as in the first.
template <int B>
constexpr int kCollected = B >= 4 ? 4 : B;

/// One block of kThreads for a row of each rank a turn, blocks as in moe_push; R turns at once. The grid is the same on all ranks, and there are no
/// fewer rows than ranks. Block b reads only the sums of the others' blocks b, so only blocks of equal number must meet.
template <typename T, int V, int kThreads, int B, int R>
__global__ void __launch_bounds__(kThreads, blocks_at_once(kThreads)) moe_two_pull(const __grid_constant__ GroupParameters p)
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
    const bool failed = __syncthreads_or(state.y != 0 || meet(p, epoch, 0));
    if (threadIdx.x == blockDim.x - 1 && state.y == 0)
    {
        count_call(p, epoch);
    }

    if (failed)
    {
        return;
    }

    // Of `ranks` rows in a row each rank owns one: share s of rank o is row s * ranks + o.
    const int shares = (p.rows + p.ranks - 1) / p.ranks;
    int turn = 0;
    for (int first = (int)blockIdx.x; first < shares; first += R * (int)gridDim.x)
    {
        uint4 got[R][V][B], residual[V];
#pragma unroll
        for (int r = 0; r < R; r++)
        {
            const int row = (first + r * (int)gridDim.x) * p.ranks + p.rank;
            if (row >= p.rows)
            {
                continue;
            }

#pragma unroll
            for (int k = 0; k < V; k++)
            {
                const int offset = plan.offset(k);
#pragma unroll
                for (int i = 0; i < B; i++)
                {
                    if (i < p.ranks && offset < p.row_bytes)
                    {
                        got[r][k][i] = *(const uint4*)(p.memory[i] + p.partial_offset + (i64)row * p.row_bytes + offset);
                    }
                }
            }

            if (r == 0)
            {
                load_residual<V>(p, row, residual);
            }
        }

#pragma unroll
        for (int r = 0; r < R; r++)
        {
            const int share = first + r * (int)gridDim.x, row = share * p.ranks + p.rank;
            if (row >= p.rows)
            {
                break;
            }

            float sum[V][Piece<T>::kValues];
            uint4 rounded[V];
            sum_parts<T, V, B>(p, plan, row, got[r], sum);

            // The next row's residual is under way while this one is normed: few registers, and no wait.
            round_row<T, V>(p, sum, residual, rounded);
            if (r + 1 < R && row + (int)gridDim.x * p.ranks < p.rows)
            {
                load_residual<V>(p, row + (int)gridDim.x * p.ranks, residual);
            }

#pragma unroll
            for (int k = 0; k < V; k++)
            {
                if (plan.offset(k) < p.row_bytes)
                {
                    *(uint4*)(p.memory[p.rank] + p.sums_offset + (i64)share * p.row_bytes + plan.offset(k)) = rounded[k];
                }
            }

            finish_row<T, V>(p, plan, row, rounded, turn++, false);
        }
    }

    // The flag of a block is released behind all its threads' sums.
    __threadfence_system();
    __syncthreads();
    if (__syncthreads_or(meet(p, epoch, 1)))
    {
        return;
    }

    // Of the others' rows with this block's shares, in an order of its own for each rank, so that not all read from one.
    const int mine = (shares - (int)blockIdx.x + (int)gridDim.x - 1) / (int)gridDim.x;
    const int others = mine * (p.ranks - 1);
    constexpr int kRows = kCollected<B>;
    for (int first = 0; first < others; first += kRows)
    {
        uint4 rounded[kRows][V];
        int rows[kRows];
#pragma unroll
        for (int r = 0; r < kRows; r++)
        {
            const int i = first + r, step = i % (p.ranks - 1) + 1, owner = next_rank(p, step);
            const int share = (int)blockIdx.x + i / (p.ranks - 1) * (int)gridDim.x;
            rows[r] = i < others && share * p.ranks + owner < p.rows ? share * p.ranks + owner : -1;
#pragma unroll
            for (int k = 0; k < V; k++)
            {
                if (rows[r] >= 0 && plan.offset(k) < p.row_bytes)
                {
                    rounded[r][k] = *(const uint4*)(p.memory[owner] + p.sums_offset + (i64)share * p.row_bytes + plan.offset(k));
                }
            }
        }

#pragma unroll
        for (int r = 0; r < kRows; r++)
        {
            if (rows[r] >= 0)
            {
                finish_row<T, V>(p, plan, rows[r], rounded[r], turn++, false);
            }
        }
    }

    __syncthreads();
    meet(p, epoch, 2);
}
