using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu;

/// <summary>A panel in two vectors of 8 lanes.</summary>
internal sealed unsafe class PanelKernel256<TFormat> : PanelKernel
    where TFormat : struct, IPanelFormat256
{
    public override int MaxTokens => 4;

    public override string Name => "AVX2";

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
            default:
                Multiply4(codes, scales, pairs, x, sums);
                break;
        }
    }

    // One body a token count: sums stay in registers only under names of their own.
    private static void Multiply1(byte* codes, byte* scales, int pairs, float* x, float* sums)
    {
        new Span<float>(sums, 1 * Rows).Clear();
        while (pairs > 0)
        {
            int count = Math.Min(pairs, BlockSize / 2);
            Vector256<float> a0 = Vector256<float>.Zero, b0 = Vector256<float>.Zero;
            for (int i = 0; i < count; i++)
            {
                Vector256<uint> pair0 = TFormat.Load(codes);
                Vector256<float> first0 = TFormat.First(pair0);
                Vector256<float> second0 = TFormat.Second(pair0);
                Vector256<uint> pair1 = TFormat.Load(codes + (TFormat.PairBytes / 2));
                Vector256<float> first1 = TFormat.First(pair1);
                Vector256<float> second1 = TFormat.Second(pair1);
                Vector256<float> x0 = Vector256.Create(x[0]), y0 = Vector256.Create(x[1]);
                a0 = Vector256.FusedMultiplyAdd(second0, y0, Vector256.FusedMultiplyAdd(first0, x0, a0));
                b0 = Vector256.FusedMultiplyAdd(second1, y0, Vector256.FusedMultiplyAdd(first1, x0, b0));
                codes += TFormat.PairBytes;
                x += 2;
            }

            Vector256<float> scale0 = TFormat.Scale(scales), scale1 = TFormat.Scale(scales + (Rows / 2));
            Add(sums + (0 * Rows), a0, scale0);
            Add(sums + (0 * Rows) + (Rows / 2), b0, scale1);
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
            Vector256<float> a0 = Vector256<float>.Zero, b0 = Vector256<float>.Zero;
            Vector256<float> a1 = Vector256<float>.Zero, b1 = Vector256<float>.Zero;
            for (int i = 0; i < count; i++)
            {
                Vector256<uint> pair0 = TFormat.Load(codes);
                Vector256<float> first0 = TFormat.First(pair0);
                Vector256<float> second0 = TFormat.Second(pair0);
                Vector256<uint> pair1 = TFormat.Load(codes + (TFormat.PairBytes / 2));
                Vector256<float> first1 = TFormat.First(pair1);
                Vector256<float> second1 = TFormat.Second(pair1);
                Vector256<float> x0 = Vector256.Create(x[0]), y0 = Vector256.Create(x[2]);
                a0 = Vector256.FusedMultiplyAdd(second0, y0, Vector256.FusedMultiplyAdd(first0, x0, a0));
                b0 = Vector256.FusedMultiplyAdd(second1, y0, Vector256.FusedMultiplyAdd(first1, x0, b0));
                Vector256<float> x1 = Vector256.Create(x[1]), y1 = Vector256.Create(x[3]);
                a1 = Vector256.FusedMultiplyAdd(second0, y1, Vector256.FusedMultiplyAdd(first0, x1, a1));
                b1 = Vector256.FusedMultiplyAdd(second1, y1, Vector256.FusedMultiplyAdd(first1, x1, b1));
                codes += TFormat.PairBytes;
                x += 4;
            }

            Vector256<float> scale0 = TFormat.Scale(scales), scale1 = TFormat.Scale(scales + (Rows / 2));
            Add(sums + (0 * Rows), a0, scale0);
            Add(sums + (0 * Rows) + (Rows / 2), b0, scale1);
            Add(sums + (1 * Rows), a1, scale0);
            Add(sums + (1 * Rows) + (Rows / 2), b1, scale1);
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
            Vector256<float> a0 = Vector256<float>.Zero, b0 = Vector256<float>.Zero;
            Vector256<float> a1 = Vector256<float>.Zero, b1 = Vector256<float>.Zero;
            Vector256<float> a2 = Vector256<float>.Zero, b2 = Vector256<float>.Zero;
            Vector256<float> a3 = Vector256<float>.Zero, b3 = Vector256<float>.Zero;
            for (int i = 0; i < count; i++)
            {
                Vector256<uint> pair0 = TFormat.Load(codes);
                Vector256<float> first0 = TFormat.First(pair0);
                Vector256<float> second0 = TFormat.Second(pair0);
                Vector256<uint> pair1 = TFormat.Load(codes + (TFormat.PairBytes / 2));
                Vector256<float> first1 = TFormat.First(pair1);
                Vector256<float> second1 = TFormat.Second(pair1);
                Vector256<float> x0 = Vector256.Create(x[0]), y0 = Vector256.Create(x[4]);
                a0 = Vector256.FusedMultiplyAdd(second0, y0, Vector256.FusedMultiplyAdd(first0, x0, a0));
                b0 = Vector256.FusedMultiplyAdd(second1, y0, Vector256.FusedMultiplyAdd(first1, x0, b0));
                Vector256<float> x1 = Vector256.Create(x[1]), y1 = Vector256.Create(x[5]);
                a1 = Vector256.FusedMultiplyAdd(second0, y1, Vector256.FusedMultiplyAdd(first0, x1, a1));
                b1 = Vector256.FusedMultiplyAdd(second1, y1, Vector256.FusedMultiplyAdd(first1, x1, b1));
                Vector256<float> x2 = Vector256.Create(x[2]), y2 = Vector256.Create(x[6]);
                a2 = Vector256.FusedMultiplyAdd(second0, y2, Vector256.FusedMultiplyAdd(first0, x2, a2));
                b2 = Vector256.FusedMultiplyAdd(second1, y2, Vector256.FusedMultiplyAdd(first1, x2, b2));
                Vector256<float> x3 = Vector256.Create(x[3]), y3 = Vector256.Create(x[7]);
                a3 = Vector256.FusedMultiplyAdd(second0, y3, Vector256.FusedMultiplyAdd(first0, x3, a3));
                b3 = Vector256.FusedMultiplyAdd(second1, y3, Vector256.FusedMultiplyAdd(first1, x3, b3));
                codes += TFormat.PairBytes;
                x += 8;
            }

            Vector256<float> scale0 = TFormat.Scale(scales), scale1 = TFormat.Scale(scales + (Rows / 2));
            Add(sums + (0 * Rows), a0, scale0);
            Add(sums + (0 * Rows) + (Rows / 2), b0, scale1);
            Add(sums + (1 * Rows), a1, scale0);
            Add(sums + (1 * Rows) + (Rows / 2), b1, scale1);
            Add(sums + (2 * Rows), a2, scale0);
            Add(sums + (2 * Rows) + (Rows / 2), b2, scale1);
            Add(sums + (3 * Rows), a3, scale0);
            Add(sums + (3 * Rows) + (Rows / 2), b3, scale1);
            scales += Rows;
            pairs -= count;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(float* sums, Vector256<float> block, Vector256<float> scale) =>
        ((block * scale) + Vector256.Load(sums)).Store(sums);
}
