using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Moe.Plugins.Cpu;

/// <summary>A panel in two vectors of 16 lanes.</summary>
internal sealed unsafe class PanelKernel512<TFormat> : PanelKernel
    where TFormat : struct, IPanelFormat512
{
    private const int LineSize = 64;

    public override int MaxTokens => 12;

    public override string Name => "AVX-512";

    public override void Multiply(byte* codes, byte* scales, int pairs, float* x, int tokens, float* sums)
    {
        switch (tokens)
        {
            case 1:
                Body<TokenCounts.One>(codes, scales, pairs, x, sums);
                break;
            case 2:
                Body<TokenCounts.Two>(codes, scales, pairs, x, sums);
                break;
            case 3:
                Body<TokenCounts.Three>(codes, scales, pairs, x, sums);
                break;
            case 4:
                Body<TokenCounts.Four>(codes, scales, pairs, x, sums);
                break;
            case 5:
                Body<TokenCounts.Five>(codes, scales, pairs, x, sums);
                break;
            case 6:
                Body<TokenCounts.Six>(codes, scales, pairs, x, sums);
                break;
            case 7:
                Body<TokenCounts.Seven>(codes, scales, pairs, x, sums);
                break;
            case 8:
                Body<TokenCounts.Eight>(codes, scales, pairs, x, sums);
                break;
            case 9:
                Body<TokenCounts.Nine>(codes, scales, pairs, x, sums);
                break;
            case 10:
                Body<TokenCounts.Ten>(codes, scales, pairs, x, sums);
                break;
            case 11:
                Body<TokenCounts.Eleven>(codes, scales, pairs, x, sums);
                break;
            default:
                Body<TokenCounts.Twelve>(codes, scales, pairs, x, sums);
                break;
        }
    }

    // Optimised at once: the runtime's slow first version of a kernel would be used for seconds. With one or two tokens the second input
    // of a pair gets sums of its own (c and d), as each sum waits for its last addition.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Body<TTokens>(byte* codes, byte* scales, int pairs, float* x, float* sums)
        where TTokens : struct, ITokenCount
    {
        int tokens = TTokens.Value;
        new Span<float>(sums, tokens * Rows).Clear();
        while (pairs > 0)
        {
            int count = Math.Min(pairs, BlockSize / 2);
            Vector512<float> a0 = Vector512<float>.Zero, b0 = Vector512<float>.Zero;
            Vector512<float> a1 = Vector512<float>.Zero, b1 = Vector512<float>.Zero;
            Vector512<float> a2 = Vector512<float>.Zero, b2 = Vector512<float>.Zero;
            Vector512<float> a3 = Vector512<float>.Zero, b3 = Vector512<float>.Zero;
            Vector512<float> a4 = Vector512<float>.Zero, b4 = Vector512<float>.Zero;
            Vector512<float> a5 = Vector512<float>.Zero, b5 = Vector512<float>.Zero;
            Vector512<float> a6 = Vector512<float>.Zero, b6 = Vector512<float>.Zero;
            Vector512<float> a7 = Vector512<float>.Zero, b7 = Vector512<float>.Zero;
            Vector512<float> a8 = Vector512<float>.Zero, b8 = Vector512<float>.Zero;
            Vector512<float> a9 = Vector512<float>.Zero, b9 = Vector512<float>.Zero;
            Vector512<float> a10 = Vector512<float>.Zero, b10 = Vector512<float>.Zero;
            Vector512<float> a11 = Vector512<float>.Zero, b11 = Vector512<float>.Zero;
            Vector512<float> c0 = Vector512<float>.Zero, d0 = Vector512<float>.Zero;
            Vector512<float> c1 = Vector512<float>.Zero, d1 = Vector512<float>.Zero;
            for (int i = 0; i < count; i += TFormat.PairsOfWord)
            {
                Sse.Prefetch0(codes + Ahead);
                Sse.Prefetch0(codes + Ahead + LineSize);
                Vector512<uint> wordA = Vector512.Load((uint*)codes), wordB = Vector512.Load((uint*)codes + Half);
                for (int pair = 0; pair < TFormat.PairsOfWord; pair++)
                {
                    Vector512<float> firstA = TFormat.First(wordA), secondA = TFormat.Second(wordA);
                    Vector512<float> firstB = TFormat.First(wordB), secondB = TFormat.Second(wordB);
                    Vector512<float> x0 = Vector512.Create(x[0]), y0 = Vector512.Create(x[tokens]);
                    a0 = Vector512.FusedMultiplyAdd(firstA, x0, a0);
                    b0 = Vector512.FusedMultiplyAdd(firstB, x0, b0);
                    if (TTokens.Value <= 2)
                    {
                        c0 = Vector512.FusedMultiplyAdd(secondA, y0, c0);
                        d0 = Vector512.FusedMultiplyAdd(secondB, y0, d0);
                    }
                    else
                    {
                        a0 = Vector512.FusedMultiplyAdd(secondA, y0, a0);
                        b0 = Vector512.FusedMultiplyAdd(secondB, y0, b0);
                    }

                    if (TTokens.Value == 2)
                    {
                        Vector512<float> x1 = Vector512.Create(x[1]), y1 = Vector512.Create(x[tokens + 1]);
                        a1 = Vector512.FusedMultiplyAdd(firstA, x1, a1);
                        b1 = Vector512.FusedMultiplyAdd(firstB, x1, b1);
                        c1 = Vector512.FusedMultiplyAdd(secondA, y1, c1);
                        d1 = Vector512.FusedMultiplyAdd(secondB, y1, d1);
                    }

                    if (TTokens.Value > 2)
                    {
                        Vector512<float> x1 = Vector512.Create(x[1]), y1 = Vector512.Create(x[tokens + 1]);
                        a1 = Vector512.FusedMultiplyAdd(secondA, y1, Vector512.FusedMultiplyAdd(firstA, x1, a1));
                        b1 = Vector512.FusedMultiplyAdd(secondB, y1, Vector512.FusedMultiplyAdd(firstB, x1, b1));
                    }

                    if (TTokens.Value > 2)
                    {
                        Vector512<float> x2 = Vector512.Create(x[2]), y2 = Vector512.Create(x[tokens + 2]);
                        a2 = Vector512.FusedMultiplyAdd(secondA, y2, Vector512.FusedMultiplyAdd(firstA, x2, a2));
                        b2 = Vector512.FusedMultiplyAdd(secondB, y2, Vector512.FusedMultiplyAdd(firstB, x2, b2));
                    }

                    if (TTokens.Value > 3)
                    {
                        Vector512<float> x3 = Vector512.Create(x[3]), y3 = Vector512.Create(x[tokens + 3]);
                        a3 = Vector512.FusedMultiplyAdd(secondA, y3, Vector512.FusedMultiplyAdd(firstA, x3, a3));
                        b3 = Vector512.FusedMultiplyAdd(secondB, y3, Vector512.FusedMultiplyAdd(firstB, x3, b3));
                    }

                    if (TTokens.Value > 4)
                    {
                        Vector512<float> x4 = Vector512.Create(x[4]), y4 = Vector512.Create(x[tokens + 4]);
                        a4 = Vector512.FusedMultiplyAdd(secondA, y4, Vector512.FusedMultiplyAdd(firstA, x4, a4));
                        b4 = Vector512.FusedMultiplyAdd(secondB, y4, Vector512.FusedMultiplyAdd(firstB, x4, b4));
                    }

                    if (TTokens.Value > 5)
                    {
                        Vector512<float> x5 = Vector512.Create(x[5]), y5 = Vector512.Create(x[tokens + 5]);
                        a5 = Vector512.FusedMultiplyAdd(secondA, y5, Vector512.FusedMultiplyAdd(firstA, x5, a5));
                        b5 = Vector512.FusedMultiplyAdd(secondB, y5, Vector512.FusedMultiplyAdd(firstB, x5, b5));
                    }

                    if (TTokens.Value > 6)
                    {
                        Vector512<float> x6 = Vector512.Create(x[6]), y6 = Vector512.Create(x[tokens + 6]);
                        a6 = Vector512.FusedMultiplyAdd(secondA, y6, Vector512.FusedMultiplyAdd(firstA, x6, a6));
                        b6 = Vector512.FusedMultiplyAdd(secondB, y6, Vector512.FusedMultiplyAdd(firstB, x6, b6));
                    }

                    if (TTokens.Value > 7)
                    {
                        Vector512<float> x7 = Vector512.Create(x[7]), y7 = Vector512.Create(x[tokens + 7]);
                        a7 = Vector512.FusedMultiplyAdd(secondA, y7, Vector512.FusedMultiplyAdd(firstA, x7, a7));
                        b7 = Vector512.FusedMultiplyAdd(secondB, y7, Vector512.FusedMultiplyAdd(firstB, x7, b7));
                    }

                    if (TTokens.Value > 8)
                    {
                        Vector512<float> x8 = Vector512.Create(x[8]), y8 = Vector512.Create(x[tokens + 8]);
                        a8 = Vector512.FusedMultiplyAdd(secondA, y8, Vector512.FusedMultiplyAdd(firstA, x8, a8));
                        b8 = Vector512.FusedMultiplyAdd(secondB, y8, Vector512.FusedMultiplyAdd(firstB, x8, b8));
                    }

                    if (TTokens.Value > 9)
                    {
                        Vector512<float> x9 = Vector512.Create(x[9]), y9 = Vector512.Create(x[tokens + 9]);
                        a9 = Vector512.FusedMultiplyAdd(secondA, y9, Vector512.FusedMultiplyAdd(firstA, x9, a9));
                        b9 = Vector512.FusedMultiplyAdd(secondB, y9, Vector512.FusedMultiplyAdd(firstB, x9, b9));
                    }

                    if (TTokens.Value > 10)
                    {
                        Vector512<float> x10 = Vector512.Create(x[10]), y10 = Vector512.Create(x[tokens + 10]);
                        a10 = Vector512.FusedMultiplyAdd(secondA, y10, Vector512.FusedMultiplyAdd(firstA, x10, a10));
                        b10 = Vector512.FusedMultiplyAdd(secondB, y10, Vector512.FusedMultiplyAdd(firstB, x10, b10));
                    }

                    if (TTokens.Value > 11)
                    {
                        Vector512<float> x11 = Vector512.Create(x[11]), y11 = Vector512.Create(x[tokens + 11]);
                        a11 = Vector512.FusedMultiplyAdd(secondA, y11, Vector512.FusedMultiplyAdd(firstA, x11, a11));
                        b11 = Vector512.FusedMultiplyAdd(secondB, y11, Vector512.FusedMultiplyAdd(firstB, x11, b11));
                    }

                    x += 2 * tokens;
                    wordA = TFormat.Next(wordA);
                    wordB = TFormat.Next(wordB);
                }

                codes += WordBytes;
            }

            if (TTokens.Value <= 2)
            {
                a0 += c0;
                b0 += d0;
                a1 += c1;
                b1 += d1;
            }

            Vector512<float> scaleA = TFormat.Scale(scales), scaleB = TFormat.Scale(scales + Half);
            Add(sums, a0, scaleA);
            Add(sums + Half, b0, scaleB);
            if (TTokens.Value > 1)
            {
                Add(sums + (1 * Rows), a1, scaleA);
                Add(sums + Half + (1 * Rows), b1, scaleB);
            }

            if (TTokens.Value > 2)
            {
                Add(sums + (2 * Rows), a2, scaleA);
                Add(sums + Half + (2 * Rows), b2, scaleB);
            }

            if (TTokens.Value > 3)
            {
                Add(sums + (3 * Rows), a3, scaleA);
                Add(sums + Half + (3 * Rows), b3, scaleB);
            }

            if (TTokens.Value > 4)
            {
                Add(sums + (4 * Rows), a4, scaleA);
                Add(sums + Half + (4 * Rows), b4, scaleB);
            }

            if (TTokens.Value > 5)
            {
                Add(sums + (5 * Rows), a5, scaleA);
                Add(sums + Half + (5 * Rows), b5, scaleB);
            }

            if (TTokens.Value > 6)
            {
                Add(sums + (6 * Rows), a6, scaleA);
                Add(sums + Half + (6 * Rows), b6, scaleB);
            }

            if (TTokens.Value > 7)
            {
                Add(sums + (7 * Rows), a7, scaleA);
                Add(sums + Half + (7 * Rows), b7, scaleB);
            }

            if (TTokens.Value > 8)
            {
                Add(sums + (8 * Rows), a8, scaleA);
                Add(sums + Half + (8 * Rows), b8, scaleB);
            }

            if (TTokens.Value > 9)
            {
                Add(sums + (9 * Rows), a9, scaleA);
                Add(sums + Half + (9 * Rows), b9, scaleB);
            }

            if (TTokens.Value > 10)
            {
                Add(sums + (10 * Rows), a10, scaleA);
                Add(sums + Half + (10 * Rows), b10, scaleB);
            }

            if (TTokens.Value > 11)
            {
                Add(sums + (11 * Rows), a11, scaleA);
                Add(sums + Half + (11 * Rows), b11, scaleB);
            }

            scales += Rows;
            pairs -= count;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(float* sums, Vector512<float> block, Vector512<float> scale) =>
        Vector512.FusedMultiplyAdd(block, scale, Vector512.Load(sums)).Store(sums);
}
