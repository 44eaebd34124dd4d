using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Moe.Plugins.Cpu;

/// <summary>
/// Two digits as the one 16-bit number that they are. Codes are looked up as 16 bits as well, which takes twice as many lookups as bytes do, but a token has
/// half as many sums: one call takes more tokens, which share the lookups, and the end of a block is half as long. Sums are exact, and so the same.
/// </summary>
internal static unsafe class WholeKernel512
{
    /// <summary>From how many tokens on this takes less time than digits.</summary>
    public const int MinTokens = 4;

    /// <summary>The most tokens of one call: as many as leave room for what is looked up.</summary>
    public const int MaxTokens = 10;

    /// <summary>Bytes of the numbers of 8 inputs.</summary>
    private const int WordBytes = DigitKernel.WordInputs * sizeof(short);

    /// <summary>A number for each code: its value in halves. They stand there twice, because a lookup looks at five bits of an index.</summary>
    private static Vector512<short> Values
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Vector512.Create(
            0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12, 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
    }

    /// <summary>Computes what <see cref="DigitKernel.Multiply"/> does, of <see cref="MinTokens"/> tokens and more.</summary>
    public static void Multiply(byte* codes, byte* scales, int blocks, byte* numbers, int tokens, float* sums)
    {
        switch (tokens)
        {
            case 4:
                Body<TokenCounts.Four>(codes, scales, blocks, numbers, sums);
                break;
            case 5:
                Body<TokenCounts.Five>(codes, scales, blocks, numbers, sums);
                break;
            case 6:
                Body<TokenCounts.Six>(codes, scales, blocks, numbers, sums);
                break;
            case 7:
                Body<TokenCounts.Seven>(codes, scales, blocks, numbers, sums);
                break;
            case 8:
                Body<TokenCounts.Eight>(codes, scales, blocks, numbers, sums);
                break;
            case 9:
                Body<TokenCounts.Nine>(codes, scales, blocks, numbers, sums);
                break;
            default:
                Body<TokenCounts.Ten>(codes, scales, blocks, numbers, sums);
                break;
        }
    }

    // Optimised at once: the runtime's slow first version of a kernel would be used for seconds. For each token, a is the sum with the first 16 rows, b with the other 16.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Body<TTokens>(byte* codes, byte* scales, int blocks, byte* numbers, float* sums)
        where TTokens : struct, ITokenCount
    {
        // Asked for once: the compiler ends inlining after so many calls.
        int blockBytes = DigitBlocks<Digits.Coarse>.BlockBytes, stepOffset = DigitBlocks<Digits.Coarse>.StepOffset;
        new Span<float>(sums, TTokens.Value * PanelKernel.Rows).Clear();
        Vector512<short> values = Values;
        for (int block = 0; block < blocks; block++)
        {
            Vector512<int> a0 = default, b0 = default;
            Vector512<int> a1 = default, b1 = default;
            Vector512<int> a2 = default, b2 = default;
            Vector512<int> a3 = default, b3 = default;
            Vector512<int> a4 = default, b4 = default;
            Vector512<int> a5 = default, b5 = default;
            Vector512<int> a6 = default, b6 = default;
            Vector512<int> a7 = default, b7 = default;
            Vector512<int> a8 = default, b8 = default;
            Vector512<int> a9 = default, b9 = default;
            byte* word = numbers;
            for (int i = 0; i < PanelKernel.BlockSize / DigitKernel.WordInputs; i++)
            {
                Sse.Prefetch0(codes + PanelKernel.Ahead);
                Sse.Prefetch0(codes + PanelKernel.Ahead + 64);

                // A lane's lowest bits are an input's code, and 4 bits further the next one's. A byte further on are those of the next two; what reaches into the word
                // behind is not looked at.
                for (byte* at = codes; at < codes + 2; at++)
                {
                    Vector512<uint> wordA = Vector512.Load((uint*)at), wordB = Vector512.Load((uint*)(at + 64));
                    Vector512<short> firstA = Lookup(values, wordA), secondA = Lookup(values, wordA >>> 4);
                    Vector512<short> firstB = Lookup(values, wordB), secondB = Lookup(values, wordB >>> 4);
                    a0 = Add(a0, firstA, secondA, word);
                    b0 = Add(b0, firstB, secondB, word);
                    a1 = Add(a1, firstA, secondA, word + (1 * blockBytes));
                    b1 = Add(b1, firstB, secondB, word + (1 * blockBytes));
                    a2 = Add(a2, firstA, secondA, word + (2 * blockBytes));
                    b2 = Add(b2, firstB, secondB, word + (2 * blockBytes));
                    a3 = Add(a3, firstA, secondA, word + (3 * blockBytes));
                    b3 = Add(b3, firstB, secondB, word + (3 * blockBytes));
                    if (TTokens.Value > 4)
                    {
                        a4 = Add(a4, firstA, secondA, word + (4 * blockBytes));
                        b4 = Add(b4, firstB, secondB, word + (4 * blockBytes));
                    }

                    if (TTokens.Value > 5)
                    {
                        a5 = Add(a5, firstA, secondA, word + (5 * blockBytes));
                        b5 = Add(b5, firstB, secondB, word + (5 * blockBytes));
                    }

                    if (TTokens.Value > 6)
                    {
                        a6 = Add(a6, firstA, secondA, word + (6 * blockBytes));
                        b6 = Add(b6, firstB, secondB, word + (6 * blockBytes));
                    }

                    if (TTokens.Value > 7)
                    {
                        a7 = Add(a7, firstA, secondA, word + (7 * blockBytes));
                        b7 = Add(b7, firstB, secondB, word + (7 * blockBytes));
                    }

                    if (TTokens.Value > 8)
                    {
                        a8 = Add(a8, firstA, secondA, word + (8 * blockBytes));
                        b8 = Add(b8, firstB, secondB, word + (8 * blockBytes));
                    }

                    if (TTokens.Value > 9)
                    {
                        a9 = Add(a9, firstA, secondA, word + (9 * blockBytes));
                        b9 = Add(b9, firstB, secondB, word + (9 * blockBytes));
                    }

                    word += WordBytes / 2;
                }

                codes += PanelKernel.WordBytes;
            }

            Vector512<float> scaleA = ScaleFactors.Load16(scales), scaleB = ScaleFactors.Load16(scales + PanelKernel.Half);
            Finish(a0, scaleA, numbers + stepOffset, sums);
            Finish(b0, scaleB, numbers + stepOffset, sums + PanelKernel.Half);
            Finish(a1, scaleA, numbers + (1 * blockBytes) + stepOffset, sums + (1 * PanelKernel.Rows));
            Finish(b1, scaleB, numbers + (1 * blockBytes) + stepOffset, sums + (1 * PanelKernel.Rows) + PanelKernel.Half);
            Finish(a2, scaleA, numbers + (2 * blockBytes) + stepOffset, sums + (2 * PanelKernel.Rows));
            Finish(b2, scaleB, numbers + (2 * blockBytes) + stepOffset, sums + (2 * PanelKernel.Rows) + PanelKernel.Half);
            Finish(a3, scaleA, numbers + (3 * blockBytes) + stepOffset, sums + (3 * PanelKernel.Rows));
            Finish(b3, scaleB, numbers + (3 * blockBytes) + stepOffset, sums + (3 * PanelKernel.Rows) + PanelKernel.Half);
            if (TTokens.Value > 4)
            {
                Finish(a4, scaleA, numbers + (4 * blockBytes) + stepOffset, sums + (4 * PanelKernel.Rows));
                Finish(b4, scaleB, numbers + (4 * blockBytes) + stepOffset, sums + (4 * PanelKernel.Rows) + PanelKernel.Half);
            }

            if (TTokens.Value > 5)
            {
                Finish(a5, scaleA, numbers + (5 * blockBytes) + stepOffset, sums + (5 * PanelKernel.Rows));
                Finish(b5, scaleB, numbers + (5 * blockBytes) + stepOffset, sums + (5 * PanelKernel.Rows) + PanelKernel.Half);
            }

            if (TTokens.Value > 6)
            {
                Finish(a6, scaleA, numbers + (6 * blockBytes) + stepOffset, sums + (6 * PanelKernel.Rows));
                Finish(b6, scaleB, numbers + (6 * blockBytes) + stepOffset, sums + (6 * PanelKernel.Rows) + PanelKernel.Half);
            }

            if (TTokens.Value > 7)
            {
                Finish(a7, scaleA, numbers + (7 * blockBytes) + stepOffset, sums + (7 * PanelKernel.Rows));
                Finish(b7, scaleB, numbers + (7 * blockBytes) + stepOffset, sums + (7 * PanelKernel.Rows) + PanelKernel.Half);
            }

            if (TTokens.Value > 8)
            {
                Finish(a8, scaleA, numbers + (8 * blockBytes) + stepOffset, sums + (8 * PanelKernel.Rows));
                Finish(b8, scaleB, numbers + (8 * blockBytes) + stepOffset, sums + (8 * PanelKernel.Rows) + PanelKernel.Half);
            }

            if (TTokens.Value > 9)
            {
                Finish(a9, scaleA, numbers + (9 * blockBytes) + stepOffset, sums + (9 * PanelKernel.Rows));
                Finish(b9, scaleB, numbers + (9 * blockBytes) + stepOffset, sums + (9 * PanelKernel.Rows) + PanelKernel.Half);
            }

            scales += PanelKernel.Rows;
            numbers += TTokens.Value * blockBytes;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<short> Lookup(Vector512<short> values, Vector512<uint> codes) => Avx512BW.PermuteVar32x16(values, codes.AsInt16());

    /// <summary>Adds the products of two pairs of inputs.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector512<int> Add(Vector512<int> sum, Vector512<short> first, Vector512<short> second, byte* numbers) =>
        sum
        + Avx512BW.MultiplyAddAdjacent(first, Vector512.Create(*(int*)numbers).AsInt16())
        + Avx512BW.MultiplyAddAdjacent(second, Vector512.Create(*(int*)(numbers + 4)).AsInt16());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(Vector512<int> whole, Vector512<float> scale, byte* step, float* sums)
    {
        Vector512<float> block = Vector512.ConvertToSingle(whole) * Vector512.Create(*(float*)step);
        Vector512.FusedMultiplyAdd(block, scale, Vector512.Load(sums)).Store(sums);
    }
}
