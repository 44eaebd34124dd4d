using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Moe.Plugins.Cpu;

/// <summary>A panel in four vectors of 8 rows, one after the other within a block: more sums do not fit the registers.</summary>
internal sealed unsafe class DigitKernel256<TDigits> : DigitKernel.Of<TDigits>
    where TDigits : struct, IDigits
{
    /// <summary>Rows of a vector.</summary>
    private const int Quarter = PanelKernel.Rows / 4;

    // As many as leave room for what is looked up: with one more the registers do not suffice, and a call takes half as long again (measured).
    public override int MaxTokens => TDigits.Count == 2 ? 4 : 3;

    public override string Name => AvxVnni.IsSupported ? "AVX2 with VNNI" : "AVX2";

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

    protected override DigitLayout Layout(int tokens) => AvxVnni.IsSupported ? DigitLayout.Fours : DigitLayout.Pairs;

    // Optimised at once: the runtime's slow first version of a kernel would be used for seconds. For each token, a to c are the sums of its digits.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Body<TTokens>(byte* codes, byte* scales, int blocks, byte* digits, float* sums)
        where TTokens : struct, ITokenCount
    {
        // Asked for once: the compiler ends inlining after so many calls.
        int blockBytes = DigitBlocks<TDigits>.BlockBytes, beginOffset = DigitBlocks<TDigits>.BeginOffset, stepOffset = DigitBlocks<TDigits>.StepOffset;
        int wordBytes = DigitBlocks<TDigits>.WordBytes, odds = wordBytes / 2;
        new Span<float>(sums, TTokens.Value * PanelKernel.Rows).Clear();
        Vector256<byte> values = Vector256.Create(LowCodes, HighCodes, LowCodes, HighCodes).AsByte();
        for (int block = 0; block < blocks; block++)
        {
            for (int row = 0; row < PanelKernel.Rows; row += Quarter)
            {
                Vector256<short> a0 = default, b0 = default, c0 = default;
                Vector256<short> a1 = default, b1 = default, c1 = default;
                Vector256<short> a2 = default, b2 = default, c2 = default;
                Vector256<short> a3 = default, b3 = default, c3 = default;
                a0 = Begin(digits + beginOffset);
                b0 = Begin(digits + beginOffset + 4);
                if (TDigits.Count > 2)
                {
                    c0 = Begin(digits + beginOffset + 8);
                }

                if (TTokens.Value > 1)
                {
                    a1 = Begin(digits + (1 * blockBytes) + beginOffset);
                    b1 = Begin(digits + (1 * blockBytes) + beginOffset + 4);
                    if (TDigits.Count > 2)
                    {
                        c1 = Begin(digits + (1 * blockBytes) + beginOffset + 8);
                    }
                }

                if (TTokens.Value > 2)
                {
                    a2 = Begin(digits + (2 * blockBytes) + beginOffset);
                    b2 = Begin(digits + (2 * blockBytes) + beginOffset + 4);
                    if (TDigits.Count > 2)
                    {
                        c2 = Begin(digits + (2 * blockBytes) + beginOffset + 8);
                    }
                }

                if (TTokens.Value > 3)
                {
                    a3 = Begin(digits + (3 * blockBytes) + beginOffset);
                    b3 = Begin(digits + (3 * blockBytes) + beginOffset + 4);
                    if (TDigits.Count > 2)
                    {
                        c3 = Begin(digits + (3 * blockBytes) + beginOffset + 8);
                    }
                }

                byte* word = digits;
                byte* at = codes + (row * sizeof(uint));
                for (int i = 0; i < PanelKernel.BlockSize / DigitKernel.WordInputs; i++)
                {
                    Sse.Prefetch0(at + PanelKernel.Ahead);
                    Vector256<byte> even = Lookup(values, Vector256.Load(at)), odd = Lookup(values, (Vector256.Load((uint*)at) >>> 4).AsByte());
                    a0 = Add(a0, even, odd, word, odds);
                    b0 = Add(b0, even, odd, word + 4, odds);
                    if (TDigits.Count > 2)
                    {
                        c0 = Add(c0, even, odd, word + 8, odds);
                    }

                    if (TTokens.Value > 1)
                    {
                        byte* word1 = word + (1 * blockBytes);
                        a1 = Add(a1, even, odd, word1, odds);
                        b1 = Add(b1, even, odd, word1 + 4, odds);
                        if (TDigits.Count > 2)
                        {
                            c1 = Add(c1, even, odd, word1 + 8, odds);
                        }
                    }

                    if (TTokens.Value > 2)
                    {
                        byte* word2 = word + (2 * blockBytes);
                        a2 = Add(a2, even, odd, word2, odds);
                        b2 = Add(b2, even, odd, word2 + 4, odds);
                        if (TDigits.Count > 2)
                        {
                            c2 = Add(c2, even, odd, word2 + 8, odds);
                        }
                    }

                    if (TTokens.Value > 3)
                    {
                        byte* word3 = word + (3 * blockBytes);
                        a3 = Add(a3, even, odd, word3, odds);
                        b3 = Add(b3, even, odd, word3 + 4, odds);
                        if (TDigits.Count > 2)
                        {
                            c3 = Add(c3, even, odd, word3 + 8, odds);
                        }
                    }

                    at += PanelKernel.WordBytes;
                    word += wordBytes;
                }

                Vector256<float> scale = ScaleFactors.Load8(scales + row);
                Finish(a0, b0, c0, scale, digits + stepOffset, sums + row);

                if (TTokens.Value > 1)
                {
                    Finish(a1, b1, c1, scale, digits + (1 * blockBytes) + stepOffset, sums + (1 * PanelKernel.Rows) + row);
                }

                if (TTokens.Value > 2)
                {
                    Finish(a2, b2, c2, scale, digits + (2 * blockBytes) + stepOffset, sums + (2 * PanelKernel.Rows) + row);
                }

                if (TTokens.Value > 3)
                {
                    Finish(a3, b3, c3, scale, digits + (3 * blockBytes) + stepOffset, sums + (3 * PanelKernel.Rows) + row);
                }
            }

            codes += PanelKernel.BlockSize / DigitKernel.WordInputs * PanelKernel.WordBytes;
            scales += PanelKernel.Rows;
            digits += TTokens.Value * blockBytes;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> Lookup(Vector256<byte> values, Vector256<byte> codes) => Avx2.Shuffle(values, codes & Vector256.Create((byte)15));

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<short> Begin(byte* begin) => Vector256.Create(*(int*)begin).AsInt16();

    /// <summary>
    /// Adds the products of four even and four odd inputs with a digit each: pairs of neighbouring bytes come together in 16 bits, or, where one instruction
    /// multiplies and adds, all four in 32.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<short> Add(Vector256<short> sum, Vector256<byte> even, Vector256<byte> odd, byte* digits, int odds)
    {
        Vector256<sbyte> first = Vector256.Create(*(int*)digits).AsSByte(), second = Vector256.Create(*(int*)(digits + odds)).AsSByte();
        return AvxVnni.IsSupported
            ? AvxVnni.MultiplyWideningAndAdd(AvxVnni.MultiplyWideningAndAdd(sum.AsInt32(), even, first), odd, second).AsInt16()
            : sum + Avx2.MultiplyAddAdjacent(even, first) + Avx2.MultiplyAddAdjacent(odd, second);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(Vector256<short> first, Vector256<short> second, Vector256<short> third, Vector256<float> scale, byte* step, float* sums)
    {
        Vector256<int> whole = Shift(first, 0) + Shift(second, TDigits.DigitBits);
        if (TDigits.Count > 2)
        {
            whole += Shift(third, 2 * TDigits.DigitBits);
        }

        Vector256<float> block = Vector256.ConvertToSingle(whole) * Vector256.Create(*(float*)step);
        Vector256.FusedMultiplyAdd(block, scale, Vector256.Load(sums)).Store(sums);
    }

    /// <summary>A digit's sums in 32 bits, times a power of two.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Shift(Vector256<short> sums, int bits) =>
        AvxVnni.IsSupported ? sums.AsInt32() << bits : Avx2.MultiplyAddAdjacent(sums, Vector256.Create((short)(1 << bits)));
}
