using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Moe.Plugins.Cpu;

/// <summary>A panel in four vectors of 8 rows, one after the other within a block: more sums do not fit the registers.</summary>
internal sealed unsafe class DigitKernel256 : DigitKernel
{
    private const ulong Low = 0x181412100F0E0D0CUL;
    private const ulong High = 0x00040608090A0B0CUL;

    /// <summary>Rows of a vector.</summary>
    private const int Quarter = PanelKernel.Rows / 4;

    // With four the sums alone take twelve of sixteen registers, and what is looked up leaves them (measured).
    public override int MaxTokens => 3;

    public override string Name => "AVX2";

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
            default:
                Body<TokenCounts.Three>(codes, scales, blocks, digits, sums);
                break;
        }
    }

    // Optimised at once: the runtime's slow first version of a kernel would be used for seconds. a to c are the sums of a token's three digits.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Body<TTokens>(byte* codes, byte* scales, int blocks, byte* digits, float* sums)
        where TTokens : struct, ITokenCount
    {
        new Span<float>(sums, TTokens.Value * PanelKernel.Rows).Clear();

        // Each code's value in halves, and 12 more, in both lanes of the lookup.
        Vector256<byte> values = Vector256.Create(Low, High, Low, High).AsByte();
        for (int block = 0; block < blocks; block++)
        {
            for (int row = 0; row < PanelKernel.Rows; row += Quarter)
            {
                Vector256<short> a0 = default, b0 = default, c0 = default;
                Vector256<short> a1 = default, b1 = default, c1 = default;
                Vector256<short> a2 = default, b2 = default, c2 = default;
                byte* word = digits;
                byte* at = codes + (row * sizeof(uint));
                for (int i = 0; i < PanelKernel.BlockSize / DigitBlocks.WordInputs; i++)
                {
                    Sse.Prefetch0(at + PanelKernel.Ahead);
                    Vector256<byte> even = Lookup(values, Vector256.Load(at)), odd = Lookup(values, (Vector256.Load((uint*)at) >>> 4).AsByte());
                    a0 = Add(a0, even, odd, word);
                    b0 = Add(b0, even, odd, word + 4);
                    c0 = Add(c0, even, odd, word + 8);

                    if (TTokens.Value > 1)
                    {
                        byte* word1 = word + (1 * DigitBlocks.BlockBytes);
                        a1 = Add(a1, even, odd, word1);
                        b1 = Add(b1, even, odd, word1 + 4);
                        c1 = Add(c1, even, odd, word1 + 8);
                    }

                    if (TTokens.Value > 2)
                    {
                        byte* word2 = word + (2 * DigitBlocks.BlockBytes);
                        a2 = Add(a2, even, odd, word2);
                        b2 = Add(b2, even, odd, word2 + 4);
                        c2 = Add(c2, even, odd, word2 + 8);
                    }

                    at += PanelKernel.WordBytes;
                    word += DigitBlocks.WordBytes;
                }

                Vector256<float> scale = ScaleFactors.Load8(scales + row);
                Finish(a0, b0, c0, scale, digits, sums + row);

                if (TTokens.Value > 1)
                {
                    Finish(a1, b1, c1, scale, digits + (1 * DigitBlocks.BlockBytes), sums + (1 * PanelKernel.Rows) + row);
                }

                if (TTokens.Value > 2)
                {
                    Finish(a2, b2, c2, scale, digits + (2 * DigitBlocks.BlockBytes), sums + (2 * PanelKernel.Rows) + row);
                }
            }

            codes += PanelKernel.BlockSize / DigitBlocks.WordInputs * PanelKernel.WordBytes;
            scales += PanelKernel.Rows;
            digits += TTokens.Value * DigitBlocks.BlockBytes;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<byte> Lookup(Vector256<byte> values, Vector256<byte> codes) => Avx2.Shuffle(values, codes & Vector256.Create((byte)15));

    /// <summary>Adds the products of four even and four odd inputs with a digit each; pairs of neighbouring bytes come together in 16 bits.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<short> Add(Vector256<short> sum, Vector256<byte> even, Vector256<byte> odd, byte* digits) =>
        sum
        + Avx2.MultiplyAddAdjacent(even, Vector256.Create(*(int*)digits).AsSByte())
        + Avx2.MultiplyAddAdjacent(odd, Vector256.Create(*(int*)(digits + (DigitBlocks.WordBytes / 2))).AsSByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(Vector256<short> first, Vector256<short> second, Vector256<short> third, Vector256<float> scale, byte* digits, float* sums)
    {
        Vector256<int> whole = Avx2.MultiplyAddAdjacent(first, Vector256.Create((short)1))
            + Avx2.MultiplyAddAdjacent(second, Vector256.Create((short)(1 << 7)))
            + Avx2.MultiplyAddAdjacent(third, Vector256.Create((short)(1 << 14)))
            - Vector256.Create(*(int*)(digits + DigitBlocks.CorrectionOffset));
        Vector256<float> block = Vector256.ConvertToSingle(whole) * Vector256.Create(*(float*)(digits + DigitBlocks.StepOffset));
        Vector256.FusedMultiplyAdd(block, scale, Vector256.Load(sums)).Store(sums);
    }
}
