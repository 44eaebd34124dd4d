using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using Moe.Plugins.Cpu;

namespace Moe.Plugins.GptOss;

/// <summary>
/// Attention of the query heads that share a key-value head, for one token: p_j = exp(z_j − m) / (Σ exp(z_k − m) + exp(s − m)) with z = q · k
/// and the head's sink s, a logit without a value (openai/gpt-oss, <c>gpt_oss/torch/model.py</c>, <c>sdpa</c>). The heads are taken four at a time, so
/// that keys and values are read once for four. Pages are taken one after another with a running maximum.
/// </summary>
internal readonly unsafe struct Attention(CachePages pages, int layer, int keyValueHead, int heads, int headSize)
{
    private readonly int _width = CacheRow.Width(headSize);

    /// <summary>Computes the unscaled result, the maximum and the sum of each head over some positions.</summary>
    /// <param name="queries">[heads][head], rotated and scaled.</param>
    /// <param name="first">The first position.</param>
    /// <param name="last">The last position.</param>
    /// <param name="state">The heads' sums so far; goes on from them.</param>
    public void Run(float* queries, int first, int last, AttentionState state)
    {
        if (pages.Type == MoeElementType.Float32)
        {
            Run<CacheRow.Single>(queries, first, last, state);
        }
        else
        {
            Run<CacheRow.Brain>(queries, first, last, state);
        }
    }

    private void Run<TFormat>(float* queries, int first, int last, AttentionState state)
        where TFormat : struct, CacheRow.IFormat
    {
        float* scores = stackalloc float[4 * CachePage.Positions];
        float* shrink = stackalloc float[4];
        for (int page = first / CachePage.Positions; page <= last / CachePage.Positions; page++)
        {
            CachePage cache = pages.Page(layer, page);
            int start = Math.Max(first - (page * CachePage.Positions), 0);
            int end = Math.Min(last - (page * CachePage.Positions) + 1, CachePage.Positions);
            for (int head = 0; head < heads;)
            {
                int count = heads - head >= 4 ? 4 : 1;
                float* q = queries + ((long)head * headSize);
                float* accumulated = state.Values(head);
                if (count == 4)
                {
                    Scores<TFormat, TokenCounts.Four>(q, cache.Keys(keyValueHead), start, end, scores);
                    Soften(scores, start, end, count, state, head, shrink);
                    Accumulate<TFormat, TokenCounts.Four>(scores, cache.Values(keyValueHead), start, end, shrink, accumulated);
                }
                else
                {
                    Scores<TFormat, TokenCounts.One>(q, cache.Keys(keyValueHead), start, end, scores);
                    Soften(scores, start, end, count, state, head, shrink);
                    Accumulate<TFormat, TokenCounts.One>(scores, cache.Values(keyValueHead), start, end, shrink, accumulated);
                }

                head += count;
            }
        }
    }

    /// <summary>Scores become weights, exp(z − m); says how far what was summed before shrinks.</summary>
    private static void Soften(float* scores, int start, int end, int count, AttentionState state, int firstHead, float* shrink)
    {
        for (int i = 0; i < count; i++)
        {
            var weights = new Span<float>(scores + (i * CachePage.Positions) + start, end - start);
            ref float maximum = ref state.Maximum(firstHead + i);
            ref float sum = ref state.Sum(firstHead + i);
            float higher = Math.Max(maximum, TensorPrimitives.Max<float>(weights));
            shrink[i] = MathF.Exp(maximum - higher);
            TensorPrimitives.Subtract(weights, higher, weights);
            TensorPrimitives.Exp<float>(weights, weights);
            sum = (sum * shrink[i]) + TensorPrimitives.Sum<float>(weights);
            maximum = higher;
        }
    }

    /// <summary>scores[head][j] = query · key j, for the tiles that the positions lie in.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Scores<TFormat, THeads>(float* queries, byte* keys, int start, int end, float* scores)
        where TFormat : struct, CacheRow.IFormat
        where THeads : struct, ITokenCount
    {
        int size = headSize;
        int tileBytes = _width * CachePage.TilePositions * TFormat.ElementSize;
        for (int first = start / CachePage.TilePositions * CachePage.TilePositions; first < end; first += CachePage.TilePositions)
        {
            byte* tile = keys + ((long)(first / CachePage.TilePositions) * tileBytes);
            for (int lane = 0; lane < CachePage.TilePositions; lane += 2 * Vector<float>.Count)
            {
                Vector<float> a0 = default, b0 = default, a1 = default, b1 = default, a2 = default, b2 = default, a3 = default, b3 = default;
                byte* row = tile;
                float* q = queries;
                for (int i = 0; i < size; i++)
                {
                    var (low, high) = TFormat.Load(row, lane);
                    var q0 = new Vector<float>(q[0]);
                    a0 = Vector.FusedMultiplyAdd(q0, low, a0);
                    b0 = Vector.FusedMultiplyAdd(q0, high, b0);
                    if (THeads.Value > 1)
                    {
                        Vector<float> q1 = new(q[size]), q2 = new(q[2 * size]), q3 = new(q[3 * size]);
                        a1 = Vector.FusedMultiplyAdd(q1, low, a1);
                        b1 = Vector.FusedMultiplyAdd(q1, high, b1);
                        a2 = Vector.FusedMultiplyAdd(q2, low, a2);
                        b2 = Vector.FusedMultiplyAdd(q2, high, b2);
                        a3 = Vector.FusedMultiplyAdd(q3, low, a3);
                        b3 = Vector.FusedMultiplyAdd(q3, high, b3);
                    }

                    row += CachePage.TilePositions * TFormat.ElementSize;
                    q++;
                }

                float* target = scores + first + lane;
                Store(target, a0, b0);
                if (THeads.Value > 1)
                {
                    Store(target + CachePage.Positions, a1, b1);
                    Store(target + (2 * CachePage.Positions), a2, b2);
                    Store(target + (3 * CachePage.Positions), a3, b3);
                }
            }
        }
    }

    /// <summary>accumulated[head] = shrink · accumulated + Σ weight j · value j.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Accumulate<TFormat, THeads>(float* weights, byte* values, int start, int end, float* shrink, float* accumulated)
        where TFormat : struct, CacheRow.IFormat
        where THeads : struct, ITokenCount
    {
        int width = _width;
        int rowBytes = width * TFormat.ElementSize;
        for (int i = 0; i < width; i += 2 * Vector<float>.Count)
        {
            float* target = accumulated + i;
            var (a0, b0) = Load(target, shrink[0]);
            Vector<float> a1 = default, b1 = default, a2 = default, b2 = default, a3 = default, b3 = default;
            if (THeads.Value > 1)
            {
                (a1, b1) = Load(target + width, shrink[1]);
                (a2, b2) = Load(target + (2 * width), shrink[2]);
                (a3, b3) = Load(target + (3 * width), shrink[3]);
            }

            byte* row = values + ((long)start * rowBytes);
            for (int j = start; j < end; j++)
            {
                var (low, high) = TFormat.Load(row, i);
                var w0 = new Vector<float>(weights[j]);
                a0 = Vector.FusedMultiplyAdd(w0, low, a0);
                b0 = Vector.FusedMultiplyAdd(w0, high, b0);
                if (THeads.Value > 1)
                {
                    Vector<float> w1 = new(weights[CachePage.Positions + j]), w2 = new(weights[(2 * CachePage.Positions) + j]);
                    Vector<float> w3 = new(weights[(3 * CachePage.Positions) + j]);
                    a1 = Vector.FusedMultiplyAdd(w1, low, a1);
                    b1 = Vector.FusedMultiplyAdd(w1, high, b1);
                    a2 = Vector.FusedMultiplyAdd(w2, low, a2);
                    b2 = Vector.FusedMultiplyAdd(w2, high, b2);
                    a3 = Vector.FusedMultiplyAdd(w3, low, a3);
                    b3 = Vector.FusedMultiplyAdd(w3, high, b3);
                }

                row += rowBytes;
            }

            Store(target, a0, b0);
            if (THeads.Value > 1)
            {
                Store(target + width, a1, b1);
                Store(target + (2 * width), a2, b2);
                Store(target + (3 * width), a3, b3);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static (Vector<float> First, Vector<float> Second) Load(float* at, float factor) => (
        factor * Unsafe.ReadUnaligned<Vector<float>>(at),
        factor * Unsafe.ReadUnaligned<Vector<float>>(at + Vector<float>.Count));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(float* at, Vector<float> first, Vector<float> second)
    {
        Unsafe.WriteUnaligned(at, first);
        Unsafe.WriteUnaligned(at + Vector<float>.Count, second);
    }
}
