using System.Numerics;
using System.Numerics.Tensors;
using System.Runtime.CompilerServices;

namespace Moe.Plugins.GptOss;

/// <summary>
/// Attention of the query heads that share a key-value head, for one token: p_j = exp(z_j − m) / (Σ exp(z_k − m) + exp(s − m)) with z = q · k
/// and the head's sink s, a logit without a value (openai/gpt-oss, <c>gpt_oss/torch/model.py</c>, <c>sdpa</c>). Pages are taken one after
/// another, the running maximum starting at the sink.
/// </summary>
internal static unsafe class Attention
{
    /// <summary>Computes one head.</summary>
    /// <param name="query">[head], rotated and scaled, padded with zeros to the cache's width.</param>
    /// <param name="sink">The head's sink.</param>
    /// <param name="sequence">Whose keys and values.</param>
    /// <param name="layer">The layer.</param>
    /// <param name="keyValueHead">The key-value head.</param>
    /// <param name="first">The first position that the token sees.</param>
    /// <param name="last">The last, its own.</param>
    /// <param name="result">[head], padded as the query is.</param>
    public static void Attend(
        float* query, float sink, GptOssSequence sequence, int layer, int keyValueHead, int first, int last, Span<float> result)
    {
        if (sequence.CacheType == MoeElementType.Float32)
        {
            Attend<CacheRow.Single>(query, sink, sequence, layer, keyValueHead, first, last, result);
        }
        else
        {
            Attend<CacheRow.Brain>(query, sink, sequence, layer, keyValueHead, first, last, result);
        }
    }

    private static void Attend<TFormat>(
        float* query, float sink, GptOssSequence sequence, int layer, int keyValueHead, int first, int last, Span<float> result)
        where TFormat : struct, CacheRow.IFormat
    {
        float* scores = stackalloc float[CachePage.Positions];
        float maximum = sink;
        float sum = 1;
        result.Clear();
        fixed (float* accumulated = result)
        {
            for (int page = first / CachePage.Positions; page <= last / CachePage.Positions; page++)
            {
                CachePage cache = sequence.Page(layer, page);
                int start = Math.Max(first - (page * CachePage.Positions), 0);
                int count = Math.Min(last - (page * CachePage.Positions), CachePage.Positions - 1) - start + 1;
                long skipped = (long)start * cache.RowBytes;
                Scores<TFormat>(query, cache.Keys(keyValueHead) + skipped, count, result.Length, scores);

                var weights = new Span<float>(scores, count);
                float higher = Math.Max(maximum, TensorPrimitives.Max<float>(weights));
                float shrink = MathF.Exp(maximum - higher);
                TensorPrimitives.Subtract(weights, higher, weights);
                TensorPrimitives.Exp<float>(weights, weights);
                sum = (sum * shrink) + TensorPrimitives.Sum<float>(weights);
                maximum = higher;
                Accumulate<TFormat>(scores, cache.Values(keyValueHead) + skipped, count, result.Length, shrink, accumulated);
            }
        }

        TensorPrimitives.Multiply(result, 1 / sum, result);
    }

    /// <summary>scores[j] = query · key j.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Scores<TFormat>(float* query, byte* keys, int count, int width, float* scores)
        where TFormat : struct, CacheRow.IFormat
    {
        int rowBytes = width * TFormat.ElementSize;
        int j = 0;
        for (; j + 4 <= count; j += 4, keys += 4 * rowBytes)
        {
            Vector<float> a = default, b = default, c = default, d = default;
            for (int i = 0; i < width; i += 2 * Vector<float>.Count)
            {
                Vector<float> q0 = Unsafe.ReadUnaligned<Vector<float>>(query + i);
                Vector<float> q1 = Unsafe.ReadUnaligned<Vector<float>>(query + i + Vector<float>.Count);
                var (a0, a1) = TFormat.Load(keys, i);
                var (b0, b1) = TFormat.Load(keys + rowBytes, i);
                var (c0, c1) = TFormat.Load(keys + (2 * rowBytes), i);
                var (d0, d1) = TFormat.Load(keys + (3 * rowBytes), i);
                a = Vector.FusedMultiplyAdd(q1, a1, Vector.FusedMultiplyAdd(q0, a0, a));
                b = Vector.FusedMultiplyAdd(q1, b1, Vector.FusedMultiplyAdd(q0, b0, b));
                c = Vector.FusedMultiplyAdd(q1, c1, Vector.FusedMultiplyAdd(q0, c0, c));
                d = Vector.FusedMultiplyAdd(q1, d1, Vector.FusedMultiplyAdd(q0, d0, d));
            }

            scores[j] = Vector.Sum(a);
            scores[j + 1] = Vector.Sum(b);
            scores[j + 2] = Vector.Sum(c);
            scores[j + 3] = Vector.Sum(d);
        }

        for (; j < count; j++, keys += rowBytes)
        {
            Vector<float> a = default;
            for (int i = 0; i < width; i += 2 * Vector<float>.Count)
            {
                var (a0, a1) = TFormat.Load(keys, i);
                a = Vector.FusedMultiplyAdd(Unsafe.ReadUnaligned<Vector<float>>(query + i), a0, a);
                a = Vector.FusedMultiplyAdd(Unsafe.ReadUnaligned<Vector<float>>(query + i + Vector<float>.Count), a1, a);
            }

            scores[j] = Vector.Sum(a);
        }
    }

    /// <summary>accumulated = shrink · accumulated + Σ weight j · value j.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Accumulate<TFormat>(float* weights, byte* values, int count, int width, float shrink, float* accumulated)
        where TFormat : struct, CacheRow.IFormat
    {
        int rowBytes = width * TFormat.ElementSize;
        for (int i = 0; i < width; i += 2 * Vector<float>.Count)
        {
            Vector<float> a = shrink * Unsafe.ReadUnaligned<Vector<float>>(accumulated + i);
            Vector<float> b = shrink * Unsafe.ReadUnaligned<Vector<float>>(accumulated + i + Vector<float>.Count);
            Vector<float> c = default, d = default;
            byte* row = values;
            int j = 0;
            for (; j + 2 <= count; j += 2, row += 2 * rowBytes)
            {
                var (a0, b0) = TFormat.Load(row, i);
                var (c0, d0) = TFormat.Load(row + rowBytes, i);
                var first = new Vector<float>(weights[j]);
                var second = new Vector<float>(weights[j + 1]);
                a = Vector.FusedMultiplyAdd(first, a0, a);
                b = Vector.FusedMultiplyAdd(first, b0, b);
                c = Vector.FusedMultiplyAdd(second, c0, c);
                d = Vector.FusedMultiplyAdd(second, d0, d);
            }

            if (j < count)
            {
                var (a0, b0) = TFormat.Load(row, i);
                var first = new Vector<float>(weights[j]);
                a = Vector.FusedMultiplyAdd(first, a0, a);
                b = Vector.FusedMultiplyAdd(first, b0, b);
            }

            Unsafe.WriteUnaligned(accumulated + i, a + c);
            Unsafe.WriteUnaligned(accumulated + i + Vector<float>.Count, b + d);
        }
    }
}
