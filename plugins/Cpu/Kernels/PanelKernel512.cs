using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Moe.Plugins.Cpu;

/// <summary>A panel in one vector of 16 lanes.</summary>
internal sealed unsafe class PanelKernel512<TFormat> : PanelKernel
    where TFormat : struct, IPanelFormat512
{
    /// <summary>
    /// How far before its use a weight is fetched, where few tokens leave time to wait: the processor's own prefetching ends with each 4 KB.
    /// </summary>
    private const int Ahead = 4096;

    public override int MaxTokens => 16;

    public override string Name => "AVX-512";

    public override void Multiply(byte* codes, byte* scales, int pairs, float* x, int tokens, float* sums)
    {
        switch (tokens)
        {
            case 1:
                Multiply1(codes, scales, pairs, x, sums);
                break;
            case 2:
                Multiply2(codes, scales, pairs, x, sums);
                break;
            case 4:
                Multiply4(codes, scales, pairs, x, sums);
                break;
            case 8:
                Multiply8(codes, scales, pairs, x, sums);
                break;
            default:
                Multiply16(codes, scales, pairs, x, sums);
                break;
        }
    }

    // One body a token count: sums stay in registers only under names of their own. Few tokens have several sums each, because one
    // chain of additions is slower than the memory.
    private static void Multiply1(byte* codes, byte* scales, int pairs, float* x, float* sums)
    {
        new Span<float>(sums, 1 * Rows).Clear();
        while (pairs > 0)
        {
            int count = Math.Min(pairs, BlockSize / 2);
            Vector512<float> s0 = Vector512<float>.Zero;
            Vector512<float> s1 = Vector512<float>.Zero;
            Vector512<float> s2 = Vector512<float>.Zero;
            Vector512<float> s3 = Vector512<float>.Zero;
            int i = 0;
            for (; i < count - 1; i += 2)
            {
                Sse.Prefetch0(codes + Ahead);
                Vector512<uint> pair = TFormat.Load(codes);
                Vector512<uint> next = TFormat.Load(codes + TFormat.PairBytes);
                s0 = Vector512.FusedMultiplyAdd(TFormat.First(pair), Vector512.Create(x[0]), s0);
                s1 = Vector512.FusedMultiplyAdd(TFormat.Second(pair), Vector512.Create(x[1]), s1);
                s2 = Vector512.FusedMultiplyAdd(TFormat.First(next), Vector512.Create(x[2]), s2);
                s3 = Vector512.FusedMultiplyAdd(TFormat.Second(next), Vector512.Create(x[3]), s3);
                codes += 2 * TFormat.PairBytes;
                x += 4;
            }

            if (i < count)
            {
                Vector512<uint> pair = TFormat.Load(codes);
                s0 = Vector512.FusedMultiplyAdd(TFormat.First(pair), Vector512.Create(x[0]), s0);
                s1 = Vector512.FusedMultiplyAdd(TFormat.Second(pair), Vector512.Create(x[1]), s1);
                codes += TFormat.PairBytes;
                x += 2;
            }

            Vector512<float> scale = TFormat.Scale(scales);
            Add(sums + (0 * Rows), s0 + s1 + (s2 + s3), scale);
            scales += Rows;
            pairs -= count;
        }
    }

    private static void Multiply2(byte* codes, byte* scales, int pairs, float* x, float* sums)
    {
        new Span<float>(sums, 2 * Rows).Clear();
        while (pairs > 0)
        {
            int count = Math.Min(pairs, BlockSize / 2);
            Vector512<float> s0 = Vector512<float>.Zero;
            Vector512<float> s1 = Vector512<float>.Zero;
            Vector512<float> t0 = Vector512<float>.Zero;
            Vector512<float> t1 = Vector512<float>.Zero;
            for (int i = 0; i < count; i++)
            {
                Sse.Prefetch0(codes + Ahead);
                Vector512<uint> pair = TFormat.Load(codes);
                Vector512<float> first = TFormat.First(pair);
                Vector512<float> second = TFormat.Second(pair);
                s0 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[0]), s0);
                s1 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[1]), s1);
                t0 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[2]), t0);
                t1 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[3]), t1);
                codes += TFormat.PairBytes;
                x += 4;
            }

            Vector512<float> scale = TFormat.Scale(scales);
            Add(sums + (0 * Rows), s0 + t0, scale);
            Add(sums + (1 * Rows), s1 + t1, scale);
            scales += Rows;
            pairs -= count;
        }
    }

    private static void Multiply4(byte* codes, byte* scales, int pairs, float* x, float* sums)
    {
        new Span<float>(sums, 4 * Rows).Clear();
        while (pairs > 0)
        {
            int count = Math.Min(pairs, BlockSize / 2);
            Vector512<float> s0 = Vector512<float>.Zero;
            Vector512<float> s1 = Vector512<float>.Zero;
            Vector512<float> s2 = Vector512<float>.Zero;
            Vector512<float> s3 = Vector512<float>.Zero;
            for (int i = 0; i < count; i++)
            {
                Vector512<uint> pair = TFormat.Load(codes);
                Vector512<float> first = TFormat.First(pair);
                Vector512<float> second = TFormat.Second(pair);
                s0 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[0]), s0);
                s1 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[1]), s1);
                s2 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[2]), s2);
                s3 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[3]), s3);
                s0 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[4]), s0);
                s1 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[5]), s1);
                s2 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[6]), s2);
                s3 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[7]), s3);
                codes += TFormat.PairBytes;
                x += 8;
            }

            Vector512<float> scale = TFormat.Scale(scales);
            Add(sums + (0 * Rows), s0, scale);
            Add(sums + (1 * Rows), s1, scale);
            Add(sums + (2 * Rows), s2, scale);
            Add(sums + (3 * Rows), s3, scale);
            scales += Rows;
            pairs -= count;
        }
    }

    private static void Multiply8(byte* codes, byte* scales, int pairs, float* x, float* sums)
    {
        new Span<float>(sums, 8 * Rows).Clear();
        while (pairs > 0)
        {
            int count = Math.Min(pairs, BlockSize / 2);
            Vector512<float> s0 = Vector512<float>.Zero;
            Vector512<float> s1 = Vector512<float>.Zero;
            Vector512<float> s2 = Vector512<float>.Zero;
            Vector512<float> s3 = Vector512<float>.Zero;
            Vector512<float> s4 = Vector512<float>.Zero;
            Vector512<float> s5 = Vector512<float>.Zero;
            Vector512<float> s6 = Vector512<float>.Zero;
            Vector512<float> s7 = Vector512<float>.Zero;
            for (int i = 0; i < count; i++)
            {
                Vector512<uint> pair = TFormat.Load(codes);
                Vector512<float> first = TFormat.First(pair);
                Vector512<float> second = TFormat.Second(pair);
                s0 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[0]), s0);
                s1 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[1]), s1);
                s2 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[2]), s2);
                s3 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[3]), s3);
                s4 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[4]), s4);
                s5 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[5]), s5);
                s6 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[6]), s6);
                s7 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[7]), s7);
                s0 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[8]), s0);
                s1 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[9]), s1);
                s2 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[10]), s2);
                s3 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[11]), s3);
                s4 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[12]), s4);
                s5 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[13]), s5);
                s6 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[14]), s6);
                s7 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[15]), s7);
                codes += TFormat.PairBytes;
                x += 16;
            }

            Vector512<float> scale = TFormat.Scale(scales);
            Add(sums + (0 * Rows), s0, scale);
            Add(sums + (1 * Rows), s1, scale);
            Add(sums + (2 * Rows), s2, scale);
            Add(sums + (3 * Rows), s3, scale);
            Add(sums + (4 * Rows), s4, scale);
            Add(sums + (5 * Rows), s5, scale);
            Add(sums + (6 * Rows), s6, scale);
            Add(sums + (7 * Rows), s7, scale);
            scales += Rows;
            pairs -= count;
        }
    }

    private static void Multiply16(byte* codes, byte* scales, int pairs, float* x, float* sums)
    {
        new Span<float>(sums, 16 * Rows).Clear();
        while (pairs > 0)
        {
            int count = Math.Min(pairs, BlockSize / 2);
            Vector512<float> s0 = Vector512<float>.Zero;
            Vector512<float> s1 = Vector512<float>.Zero;
            Vector512<float> s2 = Vector512<float>.Zero;
            Vector512<float> s3 = Vector512<float>.Zero;
            Vector512<float> s4 = Vector512<float>.Zero;
            Vector512<float> s5 = Vector512<float>.Zero;
            Vector512<float> s6 = Vector512<float>.Zero;
            Vector512<float> s7 = Vector512<float>.Zero;
            Vector512<float> s8 = Vector512<float>.Zero;
            Vector512<float> s9 = Vector512<float>.Zero;
            Vector512<float> s10 = Vector512<float>.Zero;
            Vector512<float> s11 = Vector512<float>.Zero;
            Vector512<float> s12 = Vector512<float>.Zero;
            Vector512<float> s13 = Vector512<float>.Zero;
            Vector512<float> s14 = Vector512<float>.Zero;
            Vector512<float> s15 = Vector512<float>.Zero;
            for (int i = 0; i < count; i++)
            {
                Vector512<uint> pair = TFormat.Load(codes);
                Vector512<float> first = TFormat.First(pair);
                Vector512<float> second = TFormat.Second(pair);
                s0 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[0]), s0);
                s1 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[1]), s1);
                s2 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[2]), s2);
                s3 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[3]), s3);
                s4 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[4]), s4);
                s5 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[5]), s5);
                s6 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[6]), s6);
                s7 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[7]), s7);
                s8 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[8]), s8);
                s9 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[9]), s9);
                s10 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[10]), s10);
                s11 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[11]), s11);
                s12 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[12]), s12);
                s13 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[13]), s13);
                s14 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[14]), s14);
                s15 = Vector512.FusedMultiplyAdd(first, Vector512.Create(x[15]), s15);
                s0 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[16]), s0);
                s1 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[17]), s1);
                s2 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[18]), s2);
                s3 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[19]), s3);
                s4 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[20]), s4);
                s5 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[21]), s5);
                s6 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[22]), s6);
                s7 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[23]), s7);
                s8 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[24]), s8);
                s9 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[25]), s9);
                s10 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[26]), s10);
                s11 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[27]), s11);
                s12 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[28]), s12);
                s13 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[29]), s13);
                s14 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[30]), s14);
                s15 = Vector512.FusedMultiplyAdd(second, Vector512.Create(x[31]), s15);
                codes += TFormat.PairBytes;
                x += 32;
            }

            Vector512<float> scale = TFormat.Scale(scales);
            Add(sums + (0 * Rows), s0, scale);
            Add(sums + (1 * Rows), s1, scale);
            Add(sums + (2 * Rows), s2, scale);
            Add(sums + (3 * Rows), s3, scale);
            Add(sums + (4 * Rows), s4, scale);
            Add(sums + (5 * Rows), s5, scale);
            Add(sums + (6 * Rows), s6, scale);
            Add(sums + (7 * Rows), s7, scale);
            Add(sums + (8 * Rows), s8, scale);
            Add(sums + (9 * Rows), s9, scale);
            Add(sums + (10 * Rows), s10, scale);
            Add(sums + (11 * Rows), s11, scale);
            Add(sums + (12 * Rows), s12, scale);
            Add(sums + (13 * Rows), s13, scale);
            Add(sums + (14 * Rows), s14, scale);
            Add(sums + (15 * Rows), s15, scale);
            scales += Rows;
            pairs -= count;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(float* sums, Vector512<float> block, Vector512<float> scale) =>
        ((block * scale) + Vector512.Load(sums)).Store(sums);
}
