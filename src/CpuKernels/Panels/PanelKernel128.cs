using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu;

/// <summary>A panel in eight vectors of 4 lanes on any processor: block by block, so that one half of the rows is in the cache when the other was read.</summary>
internal sealed unsafe class PanelKernel128<TFormat> : PanelKernel
    where TFormat : struct, IPanelFormat128
{
    public override int MaxTokens => 2;

    public override string Name => "128-bit vectors";

    public override void Multiply(byte* codes, byte* scales, int pairs, float* x, int tokens, float* sums)
    {
        new Span<float>(sums, tokens * Rows).Clear();
        for (; pairs > 0; pairs -= BlockSize / 2)
        {
            int count = Math.Min(pairs, BlockSize / 2);
            for (int row = 0; row < Rows; row += Half)
            {
                MultiplyHalf(codes + (row * sizeof(uint)), scales + row, count, x, tokens, sums + row);
            }

            codes += count / TFormat.PairsOfWord * WordBytes;
            scales += Rows;
            x += 2 * count * tokens;
        }
    }

    private static void MultiplyHalf(byte* codes, byte* scales, int count, float* x, int tokens, float* sums)
    {
        switch (tokens)
        {
            case 1:
                Multiply1(codes, scales, count, x, sums);
                break;
            default:
                Multiply2(codes, scales, count, x, sums);
                break;
        }
    }

    // Optimised at once: the runtime's slow first version of a kernel would be used for seconds. One body a token count: sums stay in
    // registers only under names of their own.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply1(byte* codes, byte* scales, int count, float* x, float* sums)
    {
        Vector128<float> a0 = Vector128<float>.Zero, b0 = Vector128<float>.Zero, c0 = Vector128<float>.Zero, d0 = Vector128<float>.Zero;
        for (int i = 0; i < count; i += TFormat.PairsOfWord)
        {
            Vector128<uint> word0 = Vector128.Load((uint*)codes), word1 = Vector128.Load((uint*)codes + 4);
            Vector128<uint> word2 = Vector128.Load((uint*)codes + 8), word3 = Vector128.Load((uint*)codes + 12);
            for (int pair = 0; pair < TFormat.PairsOfWord; pair++)
            {
                Vector128<float> x0 = Vector128.Create(x[0]), y0 = Vector128.Create(x[1]);
                a0 += (TFormat.First(word0) * x0) + (TFormat.Second(word0) * y0);
                word0 = TFormat.Next(word0);
                b0 += (TFormat.First(word1) * x0) + (TFormat.Second(word1) * y0);
                word1 = TFormat.Next(word1);
                c0 += (TFormat.First(word2) * x0) + (TFormat.Second(word2) * y0);
                word2 = TFormat.Next(word2);
                d0 += (TFormat.First(word3) * x0) + (TFormat.Second(word3) * y0);
                word3 = TFormat.Next(word3);
                x += 2;
            }

            codes += WordBytes;
        }

        Vector128<float> scale0 = TFormat.Scale(scales + 0);
        Add(sums + 0, a0, scale0);
        Vector128<float> scale1 = TFormat.Scale(scales + 4);
        Add(sums + 4, b0, scale1);
        Vector128<float> scale2 = TFormat.Scale(scales + 8);
        Add(sums + 8, c0, scale2);
        Vector128<float> scale3 = TFormat.Scale(scales + 12);
        Add(sums + 12, d0, scale3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply2(byte* codes, byte* scales, int count, float* x, float* sums)
    {
        Vector128<float> a0 = Vector128<float>.Zero, b0 = Vector128<float>.Zero, c0 = Vector128<float>.Zero, d0 = Vector128<float>.Zero;
        Vector128<float> a1 = Vector128<float>.Zero, b1 = Vector128<float>.Zero, c1 = Vector128<float>.Zero, d1 = Vector128<float>.Zero;
        for (int i = 0; i < count; i += TFormat.PairsOfWord)
        {
            Vector128<uint> word0 = Vector128.Load((uint*)codes), word1 = Vector128.Load((uint*)codes + 4);
            Vector128<uint> word2 = Vector128.Load((uint*)codes + 8), word3 = Vector128.Load((uint*)codes + 12);
            for (int pair = 0; pair < TFormat.PairsOfWord; pair++)
            {
                Vector128<float> x0 = Vector128.Create(x[0]), y0 = Vector128.Create(x[2]);
                Vector128<float> x1 = Vector128.Create(x[1]), y1 = Vector128.Create(x[3]);
                a0 += (TFormat.First(word0) * x0) + (TFormat.Second(word0) * y0);
                a1 += (TFormat.First(word0) * x1) + (TFormat.Second(word0) * y1);
                word0 = TFormat.Next(word0);
                b0 += (TFormat.First(word1) * x0) + (TFormat.Second(word1) * y0);
                b1 += (TFormat.First(word1) * x1) + (TFormat.Second(word1) * y1);
                word1 = TFormat.Next(word1);
                c0 += (TFormat.First(word2) * x0) + (TFormat.Second(word2) * y0);
                c1 += (TFormat.First(word2) * x1) + (TFormat.Second(word2) * y1);
                word2 = TFormat.Next(word2);
                d0 += (TFormat.First(word3) * x0) + (TFormat.Second(word3) * y0);
                d1 += (TFormat.First(word3) * x1) + (TFormat.Second(word3) * y1);
                word3 = TFormat.Next(word3);
                x += 4;
            }

            codes += WordBytes;
        }

        Vector128<float> scale0 = TFormat.Scale(scales + 0);
        Add(sums + 0, a0, scale0);
        Add(sums + Rows + 0, a1, scale0);
        Vector128<float> scale1 = TFormat.Scale(scales + 4);
        Add(sums + 4, b0, scale1);
        Add(sums + Rows + 4, b1, scale1);
        Vector128<float> scale2 = TFormat.Scale(scales + 8);
        Add(sums + 8, c0, scale2);
        Add(sums + Rows + 8, c1, scale2);
        Vector128<float> scale3 = TFormat.Scale(scales + 12);
        Add(sums + 12, d0, scale3);
        Add(sums + Rows + 12, d1, scale3);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(float* sums, Vector128<float> block, Vector128<float> scale) =>
        ((block * scale) + Vector128.Load(sums)).Store(sums);
}
