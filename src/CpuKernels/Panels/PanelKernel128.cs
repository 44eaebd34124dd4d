using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu;

/// <summary>A panel in eight vectors of 4 lanes, one half after the other, on any processor.</summary>
internal sealed unsafe class PanelKernel128<TFormat> : PanelKernel
    where TFormat : struct, IPanelFormat128
{
    public override int MaxTokens => 2;

    public override string Name => "128-bit vectors";

    public override void Multiply(byte* codes, byte* scales, int pairs, float* x, int tokens, float* sums)
    {
        new Span<float>(sums, tokens * Rows).Clear();
        MultiplyHalf(codes, scales, pairs, x, tokens, sums);
        MultiplyHalf(codes + (TFormat.PairBytes / 2), scales + Half, pairs, x, tokens, sums + Half);
    }

    private static void MultiplyHalf(byte* codes, byte* scales, int pairs, float* x, int tokens, float* sums)
    {
        switch (tokens)
        {
            case 1:
                Multiply1(codes, scales, pairs, x, sums);
                break;
            default:
                Multiply2(codes, scales, pairs, x, sums);
                break;
        }
    }

    // Optimised at once: the runtime's slow first version of a kernel would be used for seconds. One body a token count: sums stay in
    // registers only under names of their own.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply1(byte* codes, byte* scales, int pairs, float* x, float* sums)
    {
        while (pairs > 0)
        {
            int count = Math.Min(pairs, BlockSize / 2);
            Vector128<float> a0 = Vector128<float>.Zero, b0 = Vector128<float>.Zero, c0 = Vector128<float>.Zero, d0 = Vector128<float>.Zero;
            for (int i = 0; i < count; i++)
            {
                Vector128<float> x0 = Vector128.Create(x[0]), y0 = Vector128.Create(x[1]);
                Vector128<uint> pair0 = TFormat.Load(codes, 0);
                a0 += (TFormat.First(pair0) * x0) + (TFormat.Second(pair0) * y0);
                Vector128<uint> pair1 = TFormat.Load(codes, 1);
                b0 += (TFormat.First(pair1) * x0) + (TFormat.Second(pair1) * y0);
                Vector128<uint> pair2 = TFormat.Load(codes, 2);
                c0 += (TFormat.First(pair2) * x0) + (TFormat.Second(pair2) * y0);
                Vector128<uint> pair3 = TFormat.Load(codes, 3);
                d0 += (TFormat.First(pair3) * x0) + (TFormat.Second(pair3) * y0);
                codes += TFormat.PairBytes;
                x += 2;
            }

            Vector128<float> scale0 = TFormat.Scale(scales + (0 * 4));
            Add(sums + (0 * Rows) + (0 * 4), a0, scale0);
            Vector128<float> scale1 = TFormat.Scale(scales + (1 * 4));
            Add(sums + (0 * Rows) + (1 * 4), b0, scale1);
            Vector128<float> scale2 = TFormat.Scale(scales + (2 * 4));
            Add(sums + (0 * Rows) + (2 * 4), c0, scale2);
            Vector128<float> scale3 = TFormat.Scale(scales + (3 * 4));
            Add(sums + (0 * Rows) + (3 * 4), d0, scale3);
            scales += Rows;
            pairs -= count;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply2(byte* codes, byte* scales, int pairs, float* x, float* sums)
    {
        while (pairs > 0)
        {
            int count = Math.Min(pairs, BlockSize / 2);
            Vector128<float> a0 = Vector128<float>.Zero, b0 = Vector128<float>.Zero, c0 = Vector128<float>.Zero, d0 = Vector128<float>.Zero;
            Vector128<float> a1 = Vector128<float>.Zero, b1 = Vector128<float>.Zero, c1 = Vector128<float>.Zero, d1 = Vector128<float>.Zero;
            for (int i = 0; i < count; i++)
            {
                Vector128<float> x0 = Vector128.Create(x[0]), y0 = Vector128.Create(x[2]);
                Vector128<float> x1 = Vector128.Create(x[1]), y1 = Vector128.Create(x[3]);
                Vector128<uint> pair0 = TFormat.Load(codes, 0);
                a0 += (TFormat.First(pair0) * x0) + (TFormat.Second(pair0) * y0);
                a1 += (TFormat.First(pair0) * x1) + (TFormat.Second(pair0) * y1);
                Vector128<uint> pair1 = TFormat.Load(codes, 1);
                b0 += (TFormat.First(pair1) * x0) + (TFormat.Second(pair1) * y0);
                b1 += (TFormat.First(pair1) * x1) + (TFormat.Second(pair1) * y1);
                Vector128<uint> pair2 = TFormat.Load(codes, 2);
                c0 += (TFormat.First(pair2) * x0) + (TFormat.Second(pair2) * y0);
                c1 += (TFormat.First(pair2) * x1) + (TFormat.Second(pair2) * y1);
                Vector128<uint> pair3 = TFormat.Load(codes, 3);
                d0 += (TFormat.First(pair3) * x0) + (TFormat.Second(pair3) * y0);
                d1 += (TFormat.First(pair3) * x1) + (TFormat.Second(pair3) * y1);
                codes += TFormat.PairBytes;
                x += 4;
            }

            Vector128<float> scale0 = TFormat.Scale(scales + (0 * 4));
            Add(sums + (0 * Rows) + (0 * 4), a0, scale0);
            Add(sums + (1 * Rows) + (0 * 4), a1, scale0);
            Vector128<float> scale1 = TFormat.Scale(scales + (1 * 4));
            Add(sums + (0 * Rows) + (1 * 4), b0, scale1);
            Add(sums + (1 * Rows) + (1 * 4), b1, scale1);
            Vector128<float> scale2 = TFormat.Scale(scales + (2 * 4));
            Add(sums + (0 * Rows) + (2 * 4), c0, scale2);
            Add(sums + (1 * Rows) + (2 * 4), c1, scale2);
            Vector128<float> scale3 = TFormat.Scale(scales + (3 * 4));
            Add(sums + (0 * Rows) + (3 * 4), d0, scale3);
            Add(sums + (1 * Rows) + (3 * 4), d1, scale3);
            scales += Rows;
            pairs -= count;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(float* sums, Vector128<float> block, Vector128<float> scale) =>
        ((block * scale) + Vector128.Load(sums)).Store(sums);
}
