using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Moe.Plugins.Cpu;

/// <summary>
/// Activations as integers: in a block of 32 inputs each is a whole multiple of a power of two, the block's step, written as two or three signed
/// digits: x = step · Σ d_k · 2^(k · bits of a digit).
/// </summary>
/// <remarks>
/// A block of a token: for each 8 inputs the first digits of those with an even index, the second ones and so on, and the same of those with an
/// odd index, 4 bytes each; then half the step (MXFP4's codes are counted in halves) as float32, NaN where an input is no finite number; then
/// where each digit's sums begin so that the 12 which is added to every code to make it unsigned is taken off again: −12 · Σ d of the block, as 32 bits,
/// or as two numbers of 16 bits, of the first two even and odd inputs of each 8 and of the others. Where numbers are whole, they stand
/// in the place of digits, 16 bits each, those of inputs k and k + 4 of 8 side by side, and nothing was added to codes.
/// </remarks>
internal static unsafe class DigitBlocks<TDigits>
    where TDigits : struct, IDigits
{
    // Inlined by order: what kernels compute from these are constants only then.

    /// <summary>Bytes of the digits of 8 inputs.</summary>
    public static int WordBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => DigitKernel.WordInputs * TDigits.Count;
    }

    /// <summary>Where half the step stands in a block.</summary>
    public static int StepOffset
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => PanelKernel.BlockSize / DigitKernel.WordInputs * WordBytes;
    }

    /// <summary>Where the beginnings of the sums stand in a block.</summary>
    public static int BeginOffset
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => StepOffset + sizeof(float);
    }

    /// <summary>Bytes of a token's block.</summary>
    public static int BlockBytes
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => BeginOffset + (TDigits.Count * sizeof(int));
    }

    /// <summary>Encodes whole blocks, as <see cref="DigitKernel.Encode"/> says.</summary>
    public static void Encode(float* x, int width, int first, int count, int tokens, byte* target, DigitLayout layout)
    {
        for (int input = first; input < first + count; input += PanelKernel.BlockSize)
        {
            for (int token = 0; token < tokens; token++)
            {
                EncodeBlock(x + ((long)token * width) + input, target + ((((long)input / PanelKernel.BlockSize * tokens) + token) * BlockBytes), layout);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void EncodeBlock(float* values, byte* target, DigitLayout layout)
    {
        // As integers magnitudes keep their order, and what is no finite number stands above all others.
        Vector256<uint> largest = default;
        for (int i = 0; i < PanelKernel.BlockSize; i += DigitKernel.WordInputs)
        {
            largest = Vector256.Max(largest, Vector256.Load((uint*)values + i) & Vector256.Create(0x7FFF_FFFFu));
        }

        Vector128<uint> four = Vector128.Max(largest.GetLower(), largest.GetUpper());
        uint top = Math.Max(Math.Max(four[0], four[1]), Math.Max(four[2], four[3]));
        if (top >= 0x7F80_0000)
        {
            new Span<byte>(target, BlockBytes).Clear();
            *(float*)(target + StepOffset) = float.NaN;
            return;
        }

        // Two factors, because the power of two between the smallest numbers and those of so many bits is none itself.
        int exponent = (int)Math.Max(top >> 23, 1) - 127;
        int shift = TDigits.ValueBits - 1 - exponent;
        Vector256<float> up = Vector256.Create(PowerOfTwo(shift / 2)), rest = Vector256.Create(PowerOfTwo(shift - (shift / 2)));
        Vector256<int> first = default, second = default, third = default;
        byte* at = target;
        for (int i = 0; i < PanelKernel.BlockSize; i += DigitKernel.WordInputs)
        {
            Vector256<int> left = Vector256.ConvertToInt32Native(Vector256.Round(Vector256.Load(values + i) * up * rest));
            if (layout == DigitLayout.Whole)
            {
                ((left.GetLower() & Vector128.Create(0xFFFF)) | (left.GetUpper() << 16)).Store((int*)at);
                at += WordBytes;
                continue;
            }

            Vector256<int> d0 = Split(ref left), d1, d2 = default;
            if (TDigits.Count > 2)
            {
                d1 = Split(ref left);
                d2 = left;
            }
            else
            {
                d1 = left;
            }

            first += d0;
            second += d1;
            third += d2;
            Vector256<int> packed = (d0 & Vector256.Create(255)) | ((d1 & Vector256.Create(255)) << 8) | (d2 << 16);
            packed = Vector256.Shuffle(packed, Vector256.Create(0, 2, 4, 6, 1, 3, 5, 7));

            // What these stores write beyond the digits is overwritten by what comes next.
            Transpose(packed.GetLower().AsByte()).Store(at);
            Transpose(packed.GetUpper().AsByte()).Store(at + (WordBytes / 2));
            at += WordBytes;
        }

        *(float*)(target + StepOffset) = MathF.ScaleB(0.5f, -shift);
        int* begin = (int*)(target + BeginOffset);
        begin[0] = Begin(first, layout);
        begin[1] = Begin(second, layout);
        if (TDigits.Count > 2)
        {
            begin[2] = Begin(third, layout);
        }
    }

    /// <summary>Takes the lowest digit off, which is signed as well.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Split(ref Vector256<int> value)
    {
        Vector256<int> above = (value + Vector256.Create(1 << (TDigits.DigitBits - 1))) >> TDigits.DigitBits;
        Vector256<int> digit = value - (above << TDigits.DigitBits);
        value = above;
        return digit;
    }

    private static int Begin(Vector256<int> sums, DigitLayout layout)
    {
        int first = -DigitKernel.CodeOffset * Vector128.Sum(sums.GetLower()), others = -DigitKernel.CodeOffset * Vector128.Sum(sums.GetUpper());
        return layout == DigitLayout.Fours ? first + others : (ushort)first | (others << 16);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<byte> Transpose(Vector128<byte> digits) =>
        Vector128.Shuffle(digits, Vector128.Create((byte)0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));

    private static float PowerOfTwo(int exponent) => BitConverter.Int32BitsToSingle((exponent + 127) << 23);
}
