using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Moe.Plugins.Cpu;

/// <summary>A panel in four vectors of 8 lanes, one half after the other: eight sums and what they need fill the registers.</summary>
internal sealed unsafe class PanelKernel256 : PanelKernel
{
    public override int MaxTokens => 4;

    public override string Name => "AVX2";

    public override void Multiply(byte* codes, byte* scales, int pairs, float* x, int tokens, float* sums)
    {
        new Span<float>(sums, tokens * Rows).Clear();
        for (; pairs > 0; pairs -= BlockSize / 2)
        {
            int count = Math.Min(pairs, BlockSize / 2);
            for (int row = 0; row < Rows; row += Half)
            {
                MultiplyHalf(codes + (row * sizeof(uint)), count, x, tokens, sums + row);
            }

            codes += count * WordBytes;
            x += 2 * count * tokens;
        }
    }

    private static void MultiplyHalf(byte* codes, int count, float* x, int tokens, float* sums)
    {
        switch (tokens)
        {
            case 1:
                Body<TokenCounts.One>(codes, count, x, sums);
                break;
            case 2:
                Body<TokenCounts.Two>(codes, count, x, sums);
                break;
            case 3:
                Body<TokenCounts.Three>(codes, count, x, sums);
                break;
            default:
                Body<TokenCounts.Four>(codes, count, x, sums);
                break;
        }
    }

    // Optimised at once: the runtime's slow first version of a kernel would be used for seconds. With one token the second input of a
    // pair gets sums of its own (c and d), as each sum waits for its last addition.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Body<TTokens>(byte* codes, int count, float* x, float* sums)
        where TTokens : struct, ITokenCount
    {
        int tokens = TTokens.Value;
        Vector256<float> a0 = Vector256<float>.Zero, b0 = Vector256<float>.Zero;
        Vector256<float> a1 = Vector256<float>.Zero, b1 = Vector256<float>.Zero;
        Vector256<float> a2 = Vector256<float>.Zero, b2 = Vector256<float>.Zero;
        Vector256<float> a3 = Vector256<float>.Zero, b3 = Vector256<float>.Zero;
        Vector256<float> c0 = Vector256<float>.Zero, d0 = Vector256<float>.Zero;
        for (int i = 0; i < count; i++)
        {
            Sse.Prefetch0(codes + Ahead);
            Vector256<uint> word0 = Vector256.Load((uint*)codes), word1 = Vector256.Load((uint*)codes + (Half / 2));
            Vector256<float> first0 = First(word0), second0 = Second(word0);
            Vector256<float> first1 = First(word1), second1 = Second(word1);
            Vector256<float> x0 = Vector256.Create(x[0]), y0 = Vector256.Create(x[tokens]);
            a0 = Vector256.FusedMultiplyAdd(first0, x0, a0);
            b0 = Vector256.FusedMultiplyAdd(first1, x0, b0);
            if (TTokens.Value == 1)
            {
                c0 = Vector256.FusedMultiplyAdd(second0, y0, c0);
                d0 = Vector256.FusedMultiplyAdd(second1, y0, d0);
            }
            else
            {
                a0 = Vector256.FusedMultiplyAdd(second0, y0, a0);
                b0 = Vector256.FusedMultiplyAdd(second1, y0, b0);
            }

            if (TTokens.Value > 1)
            {
                Vector256<float> x1 = Vector256.Create(x[1]), y1 = Vector256.Create(x[tokens + 1]);
                a1 = Vector256.FusedMultiplyAdd(second0, y1, Vector256.FusedMultiplyAdd(first0, x1, a1));
                b1 = Vector256.FusedMultiplyAdd(second1, y1, Vector256.FusedMultiplyAdd(first1, x1, b1));
            }

            if (TTokens.Value > 2)
            {
                Vector256<float> x2 = Vector256.Create(x[2]), y2 = Vector256.Create(x[tokens + 2]);
                a2 = Vector256.FusedMultiplyAdd(second0, y2, Vector256.FusedMultiplyAdd(first0, x2, a2));
                b2 = Vector256.FusedMultiplyAdd(second1, y2, Vector256.FusedMultiplyAdd(first1, x2, b2));
            }

            if (TTokens.Value > 3)
            {
                Vector256<float> x3 = Vector256.Create(x[3]), y3 = Vector256.Create(x[tokens + 3]);
                a3 = Vector256.FusedMultiplyAdd(second0, y3, Vector256.FusedMultiplyAdd(first0, x3, a3));
                b3 = Vector256.FusedMultiplyAdd(second1, y3, Vector256.FusedMultiplyAdd(first1, x3, b3));
            }

            codes += WordBytes;
            x += 2 * tokens;
        }

        if (TTokens.Value == 1)
        {
            a0 += c0;
            b0 += d0;
        }

        Add(sums, a0);
        Add(sums + (Half / 2), b0);
        if (TTokens.Value > 1)
        {
            Add(sums + (1 * Rows), a1);
            Add(sums + (1 * Rows) + (Half / 2), b1);
        }

        if (TTokens.Value > 2)
        {
            Add(sums + (2 * Rows), a2);
            Add(sums + (2 * Rows) + (Half / 2), b2);
        }

        if (TTokens.Value > 3)
        {
            Add(sums + (3 * Rows), a3);
            Add(sums + (3 * Rows) + (Half / 2), b3);
        }

    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> First(Vector256<uint> word) => (word << 16).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<float> Second(Vector256<uint> word) => (word & Vector256.Create(0xFFFF_0000u)).AsSingle();

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(float* sums, Vector256<float> block) => (block + Vector256.Load(sums)).Store(sums);
}
