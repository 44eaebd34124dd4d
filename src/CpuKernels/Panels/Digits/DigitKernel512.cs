using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Moe.Plugins.Cpu;

/// <summary>A panel in two vectors of 16 rows, four codes of each at a time.</summary>
internal sealed unsafe class DigitKernel512 : DigitKernel
{
    private const ulong Low = 0x181412100F0E0D0CUL;
    private const ulong High = 0x00040608090A0B0CUL;

    public override int MaxTokens => 4;

    public override string Name => "AVX-512";

    public override void Multiply(byte* codes, byte* scales, int blocks, byte* digits, int tokens, float* sums)
    {
        switch (tokens)
        {
            case 1:
                Body<TokenCounts.One>(codes, scales, blocks, digits, sums);
                break;
            case 2:
                Body<TokenCounts.Two>(codes, scales, blocks, digits, sums);
                break;
            case 3:
                Body<TokenCounts.Three>(codes, scales, blocks, digits, sums);
                break;
            default:
                Body<TokenCounts.Four>(codes, scales, blocks, digits, sums);
                break;
        }
    }

    // Optimised at once: the runtime's slow first version of a kernel would be used for seconds. For token t, a to c are the sums of its
    // three digits with the first 16 rows, d to f with the other 16.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Body<TTokens>(byte* codes, byte* scales, int blocks, byte* digits, float* sums)
        where TTokens : struct, ITokenCount
    {
        new Span<float>(sums, TTokens.Value * PanelKernel.Rows).Clear();

        // Each code's value in halves, and 12 more, four times: the lookup among 64 bytes looks at six bits.
        Vector512<byte> values = Vector512.Create(Low, High, Low, High, Low, High, Low, High).AsByte();
        for (int block = 0; block < blocks; block++)
        {
            Vector512<short> a0 = default, b0 = default, c0 = default, d0 = default, e0 = default, f0 = default;
            Vector512<short> a1 = default, b1 = default, c1 = default, d1 = default, e1 = default, f1 = default;
            Vector512<short> a2 = default, b2 = default, c2 = default, d2 = default, e2 = default, f2 = default;
            Vector512<short> a3 = default, b3 = default, c3 = default, d3 = default, e3 = default, f3 = default;
            byte* word = digits;
            for (int i = 0; i < PanelKernel.BlockSize / DigitBlocks.WordInputs; i++)
            {
                Sse.Prefetch0(codes + PanelKernel.Ahead);
                Sse.Prefetch0(codes + PanelKernel.Ahead + 64);
                Vector512<byte> evenA = Lookup(values, Vector512.Load(codes)), oddA = Lookup(values, (Vector512.Load((uint*)codes) >>> 4).AsByte());
                Vector512<byte> evenB = Lookup(values, Vector512.Load(codes + 64)), oddB = Lookup(values, (Vector512.Load((uint*)codes + 16) >>> 4).AsByte());
                a0 = Add(a0, evenA, oddA, word + 0);
                d0 = Add(d0, evenB, oddB, word + 0);
                b0 = Add(b0, evenA, oddA, word + 4);
                e0 = Add(e0, evenB, oddB, word + 4);
                c0 = Add(c0, evenA, oddA, word + 8);
                f0 = Add(f0, evenB, oddB, word + 8);

                if (TTokens.Value > 1)
                {
                    byte* word1 = word + (1 * DigitBlocks.BlockBytes);
                    a1 = Add(a1, evenA, oddA, word1 + 0);
                    d1 = Add(d1, evenB, oddB, word1 + 0);
                    b1 = Add(b1, evenA, oddA, word1 + 4);
                    e1 = Add(e1, evenB, oddB, word1 + 4);
                    c1 = Add(c1, evenA, oddA, word1 + 8);
                    f1 = Add(f1, evenB, oddB, word1 + 8);
                }

                if (TTokens.Value > 2)
                {
                    byte* word2 = word + (2 * DigitBlocks.BlockBytes);
                    a2 = Add(a2, evenA, oddA, word2 + 0);
                    d2 = Add(d2, evenB, oddB, word2 + 0);
                    b2 = Add(b2, evenA, oddA, word2 + 4);
                    e2 = Add(e2, evenB, oddB, word2 + 4);
                    c2 = Add(c2, evenA, oddA, word2 + 8);
                    f2 = Add(f2, evenB, oddB, word2 + 8);
                }

                if (TTokens.Value > 3)
                {
                    byte* word3 = word + (3 * DigitBlocks.BlockBytes);
                    a3 = Add(a3, evenA, oddA, word3 + 0);
                    d3 = Add(d3, evenB, oddB, word3 + 0);
                    b3 = Add(b3, evenA, oddA, word3 + 4);
                    e3 = Add(e3, evenB, oddB, word3 + 4);
                    c3 = Add(c3, evenA, oddA, word3 + 8);
                    f3 = Add(f3, evenB, oddB, word3 + 8);
                }

                codes += PanelKernel.WordBytes;
                word += DigitBlocks.WordBytes;
            }

            Vector512<float> scaleA = ScaleFactors.Load16(scales), scaleB = ScaleFactors.Load16(scales + PanelKernel.Half);
            Finish(a0, b0, c0, scaleA, digits, sums);
            Finish(d0, e0, f0, scaleB, digits, sums + PanelKernel.Half);

            if (TTokens.Value > 1)
            {
                Finish(a1, b1, c1, scaleA, digits + (1 * DigitBlocks.BlockBytes), sums + (1 * PanelKernel.Rows));
                Finish(d1, e1, f1, scaleB, digits + (1 * DigitBlocks.BlockBytes), sums + (1 * PanelKernel.Rows) + PanelKernel.Half);
            }

            if (TTokens.Value > 2)
            {
                Finish(a2, b2, c2, scaleA, digits + (2 * DigitBlocks.BlockBytes), sums + (2 * PanelKernel.Rows));
                Finish(d2, e2, f2, scaleB, digits + (2 * DigitBlocks.BlockBytes), sums + (2 * PanelKernel.Rows) + PanelKernel.Half);
            }

            if (TTokens.Value > 3)
            {
                Finish(a3, b3, c3, scaleA, digits + (3 * DigitBlocks.BlockBytes), sums + (3 * PanelKernel.Rows));
                Finish(d3, e3, f3, scaleB, digits + (3 * DigitBlocks.BlockBytes), sums + (3 * PanelKernel.Rows) + PanelKernel.Half);
            }

            scales += PanelKernel.Rows;
            digits += TTokens.Value * DigitBlocks.BlockBytes;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> Lookup(Vector512<byte> values, Vector512<byte> codes) => Avx512Vbmi.IsSupported
        ? Avx512Vbmi.PermuteVar64x8(values, codes)
        : Avx512BW.Shuffle(values, codes & Vector512.Create((byte)15));

    /// <summary>Adds the products of four even and four odd inputs with a digit each; pairs of neighbouring bytes come together in 16 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<short> Add(Vector512<short> sum, Vector512<byte> even, Vector512<byte> odd, byte* digits) =>
        sum
        + Avx512BW.MultiplyAddAdjacent(even, Vector512.Create(*(int*)digits).AsSByte())
        + Avx512BW.MultiplyAddAdjacent(odd, Vector512.Create(*(int*)(digits + (DigitBlocks.WordBytes / 2))).AsSByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(Vector512<short> first, Vector512<short> second, Vector512<short> third, Vector512<float> scale, byte* digits, float* sums)
    {
        Vector512<int> whole = Avx512BW.MultiplyAddAdjacent(first, Vector512.Create((short)1))
            + Avx512BW.MultiplyAddAdjacent(second, Vector512.Create((short)(1 << 7)))
            + Avx512BW.MultiplyAddAdjacent(third, Vector512.Create((short)(1 << 14)))
            - Vector512.Create(*(int*)(digits + DigitBlocks.CorrectionOffset));
        Vector512<float> block = Vector512.ConvertToSingle(whole) * Vector512.Create(*(float*)(digits + DigitBlocks.StepOffset));
        Vector512.FusedMultiplyAdd(block, scale, Vector512.Load(sums)).Store(sums);
    }
}
