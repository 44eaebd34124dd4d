using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu;

/// <summary>
/// Activations as integers: in a block of 32 inputs each is a whole multiple of a power of two, of 20 bits and a sign, written as three
/// signed digits of 7 bits: x = step · (d₀ + 2⁷·d₁ + 2¹⁴·d₂). What rounding loses is below 2^-20 of the block's largest magnitude.
/// </summary>
/// <remarks>
/// A block of a token: for each 8 inputs the digits d₀ of those with an even index, their d₁, their d₂, and the same of those with an odd
/// index, 4 bytes each; then half the step (MXFP4's codes are counted in halves) as float32, NaN where an input is no finite number, and
/// 12 · Σ x ÷ step, which takes off what is added to the codes to make them unsigned.
/// </remarks>
internal static unsafe class DigitBlocks
{
    /// <summary>Inputs that the digits of a word of weights are for.</summary>
    public const int WordInputs = 8;

    /// <summary>Bytes of the digits of 8 inputs.</summary>
    public const int WordBytes = 24;

    /// <summary>Where half the step stands in a block.</summary>
    public const int StepOffset = 4 * WordBytes;

    /// <summary>Where the correction stands in a block.</summary>
    public const int CorrectionOffset = StepOffset + 4;

    /// <summary>Bytes of a token's block.</summary>
    public const int BlockBytes = CorrectionOffset + 4;

    /// <summary>What is added to a code's value, counted in halves, so that it is not negative.</summary>
    public const int CodeOffset = 12;

    private const int Bits = 20;
    private const uint ExponentField = 0x7F80_0000;

    /// <summary>Bytes of a token's inputs, a multiple of 32.</summary>
    public static long ByteCount(int inputs) => (long)inputs / PanelKernel.BlockSize * BlockBytes;

    /// <summary>Encodes whole blocks.</summary>
    /// <param name="x">Activations, [inputs][tokens].</param>
    /// <param name="first">The first input, a multiple of 32.</param>
    /// <param name="count">Inputs, a multiple of 32.</param>
    /// <param name="tokens">Tokens.</param>
    /// <param name="target">Result, [blocks][tokens], of all inputs.</param>
    public static void Encode(float* x, int first, int count, int tokens, byte* target)
    {
        float* column = stackalloc float[PanelKernel.BlockSize];
        for (int input = first; input < first + count; input += PanelKernel.BlockSize)
        {
            for (int token = 0; token < tokens; token++)
            {
                float* values = x + ((long)input * tokens) + token;
                if (tokens > 1)
                {
                    for (int i = 0; i < PanelKernel.BlockSize; i++)
                    {
                        column[i] = values[i * tokens];
                    }

                    values = column;
                }

                EncodeBlock(values, target + ((((long)input / PanelKernel.BlockSize * tokens) + token) * BlockBytes));
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void EncodeBlock(float* values, byte* target)
    {
        // As integers magnitudes keep their order, and what is no finite number stands above all others.
        Vector256<uint> largest = default;
        for (int i = 0; i < PanelKernel.BlockSize; i += WordInputs)
        {
            largest = Vector256.Max(largest, Vector256.Load((uint*)values + i) & Vector256.Create(0x7FFF_FFFFu));
        }

        Vector128<uint> four = Vector128.Max(largest.GetLower(), largest.GetUpper());
        uint top = Math.Max(Math.Max(four[0], four[1]), Math.Max(four[2], four[3]));
        if (top >= ExponentField)
        {
            new Span<byte>(target, StepOffset).Clear();
            *(float*)(target + StepOffset) = float.NaN;
            *(int*)(target + CorrectionOffset) = 0;
            return;
        }

        // Two factors, because the power of two between the smallest numbers and 2^20 is none itself.
        int exponent = (int)Math.Max(top >> 23, 1) - 127;
        int shift = Bits - 1 - exponent;
        Vector256<float> up = Vector256.Create(PowerOfTwo(shift / 2)), rest = Vector256.Create(PowerOfTwo(shift - (shift / 2)));
        Vector256<int> sum = default;
        byte* at = target;
        for (int i = 0; i < PanelKernel.BlockSize; i += WordInputs)
        {
            Vector256<int> whole = Vector256.ConvertToInt32Native(Vector256.Round(Vector256.Load(values + i) * up * rest));
            sum += whole;
            Vector256<int> d2 = (whole + Vector256.Create((1 << 13) + (1 << 6))) >> 14;
            Vector256<int> below = whole - (d2 << 14);
            Vector256<int> d1 = (below + Vector256.Create(1 << 6)) >> 7;
            Vector256<int> d0 = below - (d1 << 7);
            Vector256<int> packed = (d0 & Vector256.Create(255)) | ((d1 & Vector256.Create(255)) << 8) | (d2 << 16);
            packed = Vector256.Shuffle(packed, Vector256.Create(0, 2, 4, 6, 1, 3, 5, 7));

            // The last four bytes of each store are nobody's, and overwritten by what comes next.
            Transpose(packed.GetLower().AsByte()).Store(at);
            Transpose(packed.GetUpper().AsByte()).Store(at + (WordBytes / 2));
            at += WordBytes;
        }

        *(float*)(target + StepOffset) = MathF.ScaleB(0.5f, -shift);
        *(int*)(target + CorrectionOffset) = CodeOffset * Vector256.Sum(sum);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> Transpose(Vector128<byte> digits) =>
        Vector128.Shuffle(digits, Vector128.Create((byte)0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));

    private static float PowerOfTwo(int exponent) => BitConverter.Int32BitsToSingle((exponent + 127) << 23);
}
