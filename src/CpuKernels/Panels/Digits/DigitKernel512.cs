using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Moe.Plugins.Cpu;

/// <summary>A panel in two vectors of 16 rows, four codes of each at a time.</summary>
internal sealed unsafe class DigitKernel512<TDigits> : DigitKernel.Of<TDigits>
    where TDigits : struct, IDigits
{
    // As many as leave room for what is looked up. Two digits are taken as one number by then.
    public override int MaxTokens => TDigits.Count == 2 ? WholeKernel512.MaxTokens : 4;

    public override string Name => "AVX-512";

    public override void Multiply(byte* codes, byte* scales, int blocks, byte* digits, int tokens, float* sums)
    {
        if (IsWhole(tokens))
        {
            WholeKernel512.Multiply(codes, scales, blocks, digits, tokens, sums);
            return;
        }

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

    protected override DigitLayout Layout(int tokens) => IsWhole(tokens) ? DigitLayout.Whole : DigitLayout.Pairs;

    private static bool IsWhole(int tokens) => TDigits.Count == 2 && tokens >= WholeKernel512.MinTokens;

    // Optimised at once: the runtime's slow first version of a kernel would be used for seconds. For each token, a to c are the sums of its
    // digits with the first 16 rows, d to f with the other 16.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Body<TTokens>(byte* codes, byte* scales, int blocks, byte* digits, float* sums)
        where TTokens : struct, ITokenCount
    {
        // Asked for once: the compiler ends inlining after so many calls.
        int blockBytes = DigitBlocks<TDigits>.BlockBytes, beginOffset = DigitBlocks<TDigits>.BeginOffset, stepOffset = DigitBlocks<TDigits>.StepOffset;
        int wordBytes = DigitBlocks<TDigits>.WordBytes, odds = wordBytes / 2;
        new Span<float>(sums, TTokens.Value * PanelKernel.Rows).Clear();
        Vector512<byte> values = Vector512.Create(LowCodes, HighCodes, LowCodes, HighCodes, LowCodes, HighCodes, LowCodes, HighCodes).AsByte();
        for (int block = 0; block < blocks; block++)
        {
            Vector512<short> a0 = default, b0 = default, c0 = default, d0 = default, e0 = default, f0 = default;
            Vector512<short> a1 = default, b1 = default, c1 = default, d1 = default, e1 = default, f1 = default;
            Vector512<short> a2 = default, b2 = default, c2 = default, d2 = default, e2 = default, f2 = default;
            Vector512<short> a3 = default, b3 = default, c3 = default, d3 = default, e3 = default, f3 = default;
            a0 = Begin(digits + beginOffset);
            b0 = Begin(digits + beginOffset + 4);
            if (TDigits.Count > 2)
            {
                c0 = Begin(digits + beginOffset + 8);
            }

            d0 = a0;
            e0 = b0;
            f0 = c0;

            if (TTokens.Value > 1)
            {
                a1 = Begin(digits + (1 * blockBytes) + beginOffset);
                b1 = Begin(digits + (1 * blockBytes) + beginOffset + 4);
                if (TDigits.Count > 2)
                {
                    c1 = Begin(digits + (1 * blockBytes) + beginOffset + 8);
                }

                d1 = a1;
                e1 = b1;
                f1 = c1;
            }

            if (TTokens.Value > 2)
            {
                a2 = Begin(digits + (2 * blockBytes) + beginOffset);
                b2 = Begin(digits + (2 * blockBytes) + beginOffset + 4);
                if (TDigits.Count > 2)
                {
                    c2 = Begin(digits + (2 * blockBytes) + beginOffset + 8);
                }

                d2 = a2;
                e2 = b2;
                f2 = c2;
            }

            if (TTokens.Value > 3)
            {
                a3 = Begin(digits + (3 * blockBytes) + beginOffset);
                b3 = Begin(digits + (3 * blockBytes) + beginOffset + 4);
                if (TDigits.Count > 2)
                {
                    c3 = Begin(digits + (3 * blockBytes) + beginOffset + 8);
                }

                d3 = a3;
                e3 = b3;
                f3 = c3;
            }

            byte* word = digits;
            for (int i = 0; i < PanelKernel.BlockSize / DigitKernel.WordInputs; i++)
            {
                Sse.Prefetch0(codes + PanelKernel.Ahead);
                Sse.Prefetch0(codes + PanelKernel.Ahead + 64);
                Vector512<byte> evenA = Lookup(values, Vector512.Load(codes)), oddA = Lookup(values, (Vector512.Load((uint*)codes) >>> 4).AsByte());
                Vector512<byte> evenB = Lookup(values, Vector512.Load(codes + 64)), oddB = Lookup(values, (Vector512.Load((uint*)codes + 16) >>> 4).AsByte());
                a0 = Add(a0, evenA, oddA, word, odds);
                d0 = Add(d0, evenB, oddB, word, odds);
                b0 = Add(b0, evenA, oddA, word + 4, odds);
                e0 = Add(e0, evenB, oddB, word + 4, odds);
                if (TDigits.Count > 2)
                {
                    c0 = Add(c0, evenA, oddA, word + 8, odds);
                    f0 = Add(f0, evenB, oddB, word + 8, odds);
                }

                if (TTokens.Value > 1)
                {
                    byte* word1 = word + (1 * blockBytes);
                    a1 = Add(a1, evenA, oddA, word1, odds);
                    d1 = Add(d1, evenB, oddB, word1, odds);
                    b1 = Add(b1, evenA, oddA, word1 + 4, odds);
                    e1 = Add(e1, evenB, oddB, word1 + 4, odds);
                    if (TDigits.Count > 2)
                    {
                        c1 = Add(c1, evenA, oddA, word1 + 8, odds);
                        f1 = Add(f1, evenB, oddB, word1 + 8, odds);
                    }
                }

                if (TTokens.Value > 2)
                {
                    byte* word2 = word + (2 * blockBytes);
                    a2 = Add(a2, evenA, oddA, word2, odds);
                    d2 = Add(d2, evenB, oddB, word2, odds);
                    b2 = Add(b2, evenA, oddA, word2 + 4, odds);
                    e2 = Add(e2, evenB, oddB, word2 + 4, odds);
                    if (TDigits.Count > 2)
                    {
                        c2 = Add(c2, evenA, oddA, word2 + 8, odds);
                        f2 = Add(f2, evenB, oddB, word2 + 8, odds);
                    }
                }

                if (TTokens.Value > 3)
                {
                    byte* word3 = word + (3 * blockBytes);
                    a3 = Add(a3, evenA, oddA, word3, odds);
                    d3 = Add(d3, evenB, oddB, word3, odds);
                    b3 = Add(b3, evenA, oddA, word3 + 4, odds);
                    e3 = Add(e3, evenB, oddB, word3 + 4, odds);
                    if (TDigits.Count > 2)
                    {
                        c3 = Add(c3, evenA, oddA, word3 + 8, odds);
                        f3 = Add(f3, evenB, oddB, word3 + 8, odds);
                    }
                }

                codes += PanelKernel.WordBytes;
                word += wordBytes;
            }

            Vector512<float> scaleA = ScaleFactors.Load16(scales), scaleB = ScaleFactors.Load16(scales + PanelKernel.Half);
            Finish(a0, b0, c0, scaleA, digits + stepOffset, sums);
            Finish(d0, e0, f0, scaleB, digits + stepOffset, sums + PanelKernel.Half);

            if (TTokens.Value > 1)
            {
                Finish(a1, b1, c1, scaleA, digits + (1 * blockBytes) + stepOffset, sums + (1 * PanelKernel.Rows));
                Finish(d1, e1, f1, scaleB, digits + (1 * blockBytes) + stepOffset, sums + (1 * PanelKernel.Rows) + PanelKernel.Half);
            }

            if (TTokens.Value > 2)
            {
                Finish(a2, b2, c2, scaleA, digits + (2 * blockBytes) + stepOffset, sums + (2 * PanelKernel.Rows));
                Finish(d2, e2, f2, scaleB, digits + (2 * blockBytes) + stepOffset, sums + (2 * PanelKernel.Rows) + PanelKernel.Half);
            }

            if (TTokens.Value > 3)
            {
                Finish(a3, b3, c3, scaleA, digits + (3 * blockBytes) + stepOffset, sums + (3 * PanelKernel.Rows));
                Finish(d3, e3, f3, scaleB, digits + (3 * blockBytes) + stepOffset, sums + (3 * PanelKernel.Rows) + PanelKernel.Half);
            }

            scales += PanelKernel.Rows;
            digits += TTokens.Value * blockBytes;
        }
    }

    // The lookup among 64 bytes looks at six bits of an index: the values stand there four times, and the next code needs no mask.
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<byte> Lookup(Vector512<byte> values, Vector512<byte> codes) => Avx512Vbmi.IsSupported
        ? Avx512Vbmi.PermuteVar64x8(values, codes)
        : Avx512BW.Shuffle(values, codes & Vector512.Create((byte)15));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<short> Begin(byte* begin) => Vector512.Create(*(int*)begin).AsInt16();

    /// <summary>Adds the products of four even and four odd inputs with a digit each; pairs of neighbouring bytes come together in 16 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<short> Add(Vector512<short> sum, Vector512<byte> even, Vector512<byte> odd, byte* digits, int odds) =>
        sum
        + Avx512BW.MultiplyAddAdjacent(even, Vector512.Create(*(int*)digits).AsSByte())
        + Avx512BW.MultiplyAddAdjacent(odd, Vector512.Create(*(int*)(digits + odds)).AsSByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(Vector512<short> first, Vector512<short> second, Vector512<short> third, Vector512<float> scale, byte* step, float* sums)
    {
        Vector512<int> whole = Avx512BW.MultiplyAddAdjacent(first, Vector512<short>.One)
            + Avx512BW.MultiplyAddAdjacent(second, Vector512.Create((short)(1 << TDigits.DigitBits)));
        if (TDigits.Count > 2)
        {
            whole += Avx512BW.MultiplyAddAdjacent(third, Vector512.Create((short)(1 << (2 * TDigits.DigitBits % 16))));
        }

        Vector512<float> block = Vector512.ConvertToSingle(whole) * Vector512.Create(*(float*)step);
        Vector512.FusedMultiplyAdd(block, scale, Vector512.Load(sums)).Store(sums);
    }
}
