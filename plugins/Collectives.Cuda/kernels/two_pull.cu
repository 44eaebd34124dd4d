// All-reduce in two steps by reading: each row has an owner, who reads the others' parts and leaves the rounded sum where they read it. As few bytes as
// in two_shot.cu, no slots to write and to empty, and any number of rows in one launch. Two meetings: before parts are read, and before sums are. None
// at the end: nobody's parts are read behind the second one, and sums are left in two places by turns, of which the other one has been read.
//
// The first step has no barrier, and in the second one rows are on their way while one is normed: the link is to be busy.
#include "rows.cuh"

/// Rows that a block of the second step has on their way.
template <int V>
constexpr int kAhead = V >= 4 ? 1 : 4 / V;

/// One block of kThreads for a row of each rank a turn, blocks as in moe_push; R turns at once. The grid is the same on all ranks, and there are no
/// fewer rows than ranks. Block b reads only the sums of the others' blocks b, so only blocks of equal number must meet.
template <typename T, int V, int kThreads, int B, int R>
__global__ void __launch_bounds__(kThreads, blocks_at_once(kThreads)) moe_two_pull(const __grid_constant__ GroupParameters p)
{
    const uint4 state = begin_call(p);
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
    RowPlan<T, V> plan;
    const int shares = (p.rows + p.ranks - 1) / p.ranks;
    const i64 sums = p.sums_offset + (i64)(epoch & 1) * p.sums_bytes;
    for (int first = (int)blockIdx.x; first < shares; first += R * (int)gridDim.x)
    {
        uint4 got[R][V][B], residual[R][V];
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

            load_residual<V>(p, row, residual[r]);
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
            round_row<T, V>(p, sum, residual[r], rounded);
#pragma unroll
            for (int k = 0; k < V; k++)
            {
                if (plan.offset(k) < p.row_bytes)
                {
                    *(uint4*)(p.memory[p.rank] + sums + (i64)share * p.row_bytes + plan.offset(k)) = rounded[k];
                }
            }
        }
    }

    // A flag's release covers what all threads of the block wrote before the barrier.
    plan.load_weight(p);
    __syncthreads();
    if (__syncthreads_or(meet(p, epoch, 1)))
    {
        return;
    }

    // The rows of all ranks with this block's shares, the own ones last, in an order of its own for each rank, so that not all read from one.
    constexpr int kRows = kAhead<V>;
    const int all = (shares - (int)blockIdx.x + (int)gridDim.x - 1) / (int)gridDim.x * p.ranks;
    const auto place = [&](int i, int& share, int& owner)
    {
        share = (int)blockIdx.x + i / p.ranks * (int)gridDim.x;
        owner = next_rank(p, i % p.ranks + 1);
        return i >= 0 && i < all && share * p.ranks + owner < p.rows;
    };

    uint4 ahead[kRows][V];
    int turn = 0;
    for (int first = -kRows; first < all; first += kRows)
    {
#pragma unroll
        for (int r = 0; r < kRows; r++)
        {
            uint4 rounded[V];
            int share, owner;
#pragma unroll
            for (int k = 0; k < V; k++)
            {
                rounded[k] = ahead[r][k];
            }

            if (place(first + kRows + r, share, owner))
            {
#pragma unroll
                for (int k = 0; k < V; k++)
                {
                    if (plan.offset(k) < p.row_bytes)
                    {
                        ahead[r][k] = *(const uint4*)(p.memory[owner] + sums + (i64)share * p.row_bytes + plan.offset(k));
                    }
                }
            }

            if (place(first + r, share, owner))
            {
                finish_row<T, V>(p, plan, share * p.ranks + owner, rounded, turn++, false);
            }
        }
    }
}
