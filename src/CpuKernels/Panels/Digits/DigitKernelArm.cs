using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;

namespace Moe.Plugins.Cpu;

/// <summary>
/// A panel in eight vectors of 4 rows, one after the other within a block. The dot product takes signed bytes in both places and adds four products
/// to 32 bits, so codes are looked up as they are: for 4 rows and 8 inputs a load, a mask, a shift, 2 lookups, and for each token and digit 2 products.
/// </summary>
internal sealed unsafe class DigitKernelArm<TDigits> : DigitKernel.Of<TDigits>
    where TDigits : struct, IDigits
{
    /// <summary>Rows of a vector.</summary>
    private const int Eighth = PanelKernel.Rows / 8;

    public override int MaxTokens => 4;

    public override string Name => "AdvSimd with dot products";

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

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Body<TTokens>(byte* codes, byte* scales, int blocks, byte* digits, float* sums)
        where TTokens : struct, ITokenCount
    {
        new Span<float>(sums, TTokens.Value * PanelKernel.Rows).Clear();
        Vector128<sbyte> values = Vector128.Create(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
        for (int block = 0; block < blocks; block++)
        {
            for (int row = 0; row < PanelKernel.Rows; row += Eighth)
            {
                Vector128<int> a0 = default, b0 = default, c0 = default;
                Vector128<int> a1 = default, b1 = default, c1 = default;
                Vector128<int> a2 = default, b2 = default, c2 = default;
                Vector128<int> a3 = default, b3 = default, c3 = default;
                byte* word = digits;
                byte* at = codes + (row * sizeof(uint));
                for (int i = 0; i < PanelKernel.BlockSize / DigitKernel.WordInputs; i++)
                {
                    Vector128<byte> both = Vector128.Load(at);
                    Vector128<sbyte> even = AdvSimd.Arm64.VectorTableLookup(values, (both & Vector128.Create((byte)15)).AsSByte());
                    Vector128<sbyte> odd = AdvSimd.Arm64.VectorTableLookup(values, (both >>> 4).AsSByte());
                    a0 = Add(a0, even, odd, word);
                    b0 = Add(b0, even, odd, word + 4);
                    if (TDigits.Count > 2)
                    {
                        c0 = Add(c0, even, odd, word + 8);
                    }

                    if (TTokens.Value > 1)
                    {
                        byte* word1 = word + (1 * DigitBlocks<TDigits>.BlockBytes);
                        a1 = Add(a1, even, odd, word1);
                        b1 = Add(b1, even, odd, word1 + 4);
                        if (TDigits.Count > 2)
                        {
                            c1 = Add(c1, even, odd, word1 + 8);
                        }
                    }

                    if (TTokens.Value > 2)
                    {
                        byte* word2 = word + (2 * DigitBlocks<TDigits>.BlockBytes);
                        a2 = Add(a2, even, odd, word2);
                        b2 = Add(b2, even, odd, word2 + 4);
                        if (TDigits.Count > 2)
                        {
                            c2 = Add(c2, even, odd, word2 + 8);
                        }
                    }

                    if (TTokens.Value > 3)
                    {
                        byte* word3 = word + (3 * DigitBlocks<TDigits>.BlockBytes);
                        a3 = Add(a3, even, odd, word3);
                        b3 = Add(b3, even, odd, word3 + 4);
                        if (TDigits.Count > 2)
                        {
                            c3 = Add(c3, even, odd, word3 + 8);
                        }
                    }

                    at += PanelKernel.WordBytes;
                    word += DigitBlocks<TDigits>.WordBytes;
                }

                Vector128<float> scale = ScaleFactors.Load4(scales + row);
                Finish(a0, b0, c0, scale, digits, sums + row);

                if (TTokens.Value > 1)
                {
                    Finish(a1, b1, c1, scale, digits + (1 * DigitBlocks<TDigits>.BlockBytes), sums + (1 * PanelKernel.Rows) + row);
                }

                if (TTokens.Value > 2)
                {
                    Finish(a2, b2, c2, scale, digits + (2 * DigitBlocks<TDigits>.BlockBytes), sums + (2 * PanelKernel.Rows) + row);
                }

                if (TTokens.Value > 3)
                {
                    Finish(a3, b3, c3, scale, digits + (3 * DigitBlocks<TDigits>.BlockBytes), sums + (3 * PanelKernel.Rows) + row);
                }
            }

            codes += PanelKernel.BlockSize / DigitKernel.WordInputs * PanelKernel.WordBytes;
            scales += PanelKernel.Rows;
            digits += TTokens.Value * DigitBlocks<TDigits>.BlockBytes;
        }
    }

    /// <summary>Adds the products of four even and four odd inputs with a digit each.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Add(Vector128<int> sum, Vector128<sbyte> even, Vector128<sbyte> odd, byte* digits) =>
        Dp.DotProduct(
            Dp.DotProduct(sum, even, Vector128.Create(*(int*)digits).AsSByte()), odd, Vector128.Create(*(int*)(digits + (DigitBlocks<TDigits>.WordBytes / 2))).AsSByte());

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Finish(Vector128<int> first, Vector128<int> second, Vector128<int> third, Vector128<float> scale, byte* digits, float* sums)
    {
        Vector128<int> whole = first + (second << TDigits.DigitBits) + (TDigits.Count > 2 ? third << (2 * TDigits.DigitBits) : default);
        Vector128<float> block = Vector128.ConvertToSingle(whole) * Vector128.Create(*(float*)(digits + DigitBlocks<TDigits>.StepOffset));
        Vector128.FusedMultiplyAdd(block, scale, Vector128.Load(sums)).Store(sums);
    }
}
