// Attention of a prompt, and of one token of each text.
#include "gpt_oss_attention.cuh"

constexpr int kPrefillWarps = 4;

/// Many tokens: a warp has as many neighbours of one text as fill 16 rows, and goes over all their keys. Grid (groups of warps, key-value heads).
template <int kHeadSize>
__global__ void __launch_bounds__(32 * kPrefillWarps) moe_attention_prefill(const __grid_constant__ AttentionParameters p)
{
    allow_next_launch();
    wait_for_previous_launch();
    const int g = threadIdx.x % 32 / 4, t = threadIdx.x % 4, head = blockIdx.y;

    // The last tokens see the most keys, and begin first.
    const int index = p.groups_count - 1 - (blockIdx.x * kPrefillWarps + threadIdx.x / 32);
    if (index < 0)
    {
        return;
    }

    const int2 group = p.groups[index];
    const BatchToken text = p.tokens[group.x];
    const QueryRows<kHeadSize> rows(p, group.x, group.y, head);
    RowSums<kHeadSize> sums;
    const int oldest = p.window > 0 ? max(text.position - p.window + 1, 0) : 0;
    for (int first = oldest / kKeys * kKeys; first <= text.position + group.y - 1; first += kKeys)
    {
        KeyTile<kHeadSize> tile;
        tile.load(p.cache, text, head, first);
        add_keys<kHeadSize>(p, rows, tile, first, sums);
    }

    sum_lanes<kHeadSize>(sums);
    const int heads = p.heads / p.cache.heads;
#pragma unroll
    for (int r = 0; r < 2; r++)
    {
        const int row = g + 8 * r;
        if (row < group.y * heads)
        {
            const int own = head * heads + row % heads;
            const float sink = p.sinks[own] * kLog2E, maximum = fmaxf(sums.maximum[r], sink);
            const float by = shrink(sums.maximum[r], maximum), factor = by / (sums.sum[r] * by + exp2f(sink - maximum));
            u32* to = (u32*)(p.out + ((i64)(group.x + row / heads) * p.heads + own) * kHeadSize);
#pragma unroll
            for (int n = 0; n < kHeadSize / 8; n++)
            {
                to[4 * n + t] = pack_bf16(sums.values[n][2 * r] * factor, sums.values[n][2 * r + 1] * factor);
            }
        }
    }
}

/// One token of each text. Grid (splits, key-value heads, tokens).
template <int kHeadSize>
__global__ void __launch_bounds__(32 * kDecodeWarps, 1) moe_attention_decode(const __grid_constant__ AttentionParameters p)
{
    allow_next_launch();
    __shared__ float found[DecodePart<kHeadSize>::kFound];
    DecodePart<kHeadSize> part(p, blockIdx.z, blockIdx.y, blockIdx.x, gridDim.x, kDecodeWarps);
    if (part.is_empty())
    {
        wait_for_previous_launch();
        return;
    }

    part.load_early();
    wait_for_previous_launch();
    part.attend(found);
}
