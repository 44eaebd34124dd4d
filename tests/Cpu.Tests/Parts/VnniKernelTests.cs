namespace Moe.Plugins.Cpu.Tests;

/// <summary>Machine code gives the bits of the kernels that the compiler wrote, whatever the number of tokens.</summary>
public sealed unsafe class VnniKernelTests
{
    private const int Blocks = 3;
    private const int Inputs = Blocks * PanelKernel.BlockSize;

    [Fact]
    public void Two_digits_give_the_same_bits() => Check(VnniKernel512<Digits.Coarse>.Instance, new DigitKernel512<Digits.Coarse>());

    [Fact]
    public void Three_digits_give_the_same_bits() => Check(VnniKernel512<Digits.Fine>.Instance, new DigitKernel512<Digits.Fine>());

    [Fact]
    public void The_constants_hold_each_code_s_value()
    {
        float[] values = [0, 0.5f, 1, 1.5f, 2, 3, 4, 6, 0, -0.5f, -1, -1.5f, -2, -3, -4, -6];
        byte[] constants = VnniCode.Constants;
        for (int i = 0; i < 64; i++)
        {
            Assert.Equal(values[i % 16], (constants[i] - DigitKernel.CodeOffset) / 2f);
        }

        for (int i = 0; i < 32; i++)
        {
            Assert.Equal(values[i % 16], BitConverter.ToInt16(constants, 64 + (2 * i)) / 2f);
        }
    }

    private static void Check(DigitKernel? kernel, DigitKernel expected)
    {
        Assert.SkipWhen(kernel is null, "this processor has no VNNI for 512 bits, or this system allows no code to be written");
        var random = new Random(5);
        using var codes = new NativeBuffer((Inputs / 2 * PanelKernel.Rows) + 1);
        using var scales = new NativeBuffer(Blocks * PanelKernel.Rows);
        using var x = new NativeBuffer(kernel.MaxTokens * Inputs * sizeof(float));
        using var digits = new NativeBuffer(kernel.MaxTokens * kernel.ByteCount(Inputs));
        using var sums = new NativeBuffer(kernel.MaxTokens * PanelKernel.Rows * sizeof(float));
        using var expectedSums = new NativeBuffer(PanelKernel.Rows * sizeof(float));
        random.NextBytes(new Span<byte>(codes.Pointer<byte>(), (int)codes.ByteCount));
        for (int i = 0; i < Blocks * PanelKernel.Rows; i++)
        {
            // Rows with ordinary factors, and each one with the smallest, one near the largest, or none.
            scales.Pointer<byte>()[i] = (i % PanelKernel.Rows) switch { 3 => 0, 14 => 251, 17 => 255, _ => (byte)random.Next(110, 140) };
        }

        for (int i = 0; i < kernel.MaxTokens * Inputs; i++)
        {
            x.Pointer<float>()[i] = (float)((random.NextDouble() - 0.5) * Math.Pow(2, random.Next(-12, 3)));
        }

        // The last token has a number that is none.
        x.Pointer<float>()[(kernel.MaxTokens * Inputs) - 1] = float.NaN;
        for (int tokens = 1; tokens <= kernel.MaxTokens; tokens++)
        {
            kernel.Encode(x.Pointer<float>(), Inputs, 0, Inputs, tokens, digits.Pointer<byte>());
            kernel.Multiply(codes.Pointer<byte>(), scales.Pointer<byte>(), Blocks, digits.Pointer<byte>(), tokens, sums.Pointer<float>());
            for (int token = 0; token < tokens; token++)
            {
                expected.Encode(x.Pointer<float>() + (token * Inputs), Inputs, 0, Inputs, 1, digits.Pointer<byte>());
                expected.Multiply(codes.Pointer<byte>(), scales.Pointer<byte>(), Blocks, digits.Pointer<byte>(), 1, expectedSums.Pointer<float>());
                Assert.Equal(Bits(expectedSums.Pointer<float>()), Bits(sums.Pointer<float>() + (token * PanelKernel.Rows)));
            }
        }
    }

    // Which NaN comes of two is the instruction's choice, and nobody looks: rows with one are computed again.
    private static int[] Bits(float* values)
    {
        int[] bits = new int[PanelKernel.Rows];
        for (int i = 0; i < bits.Length; i++)
        {
            bits[i] = BitConverter.SingleToInt32Bits(float.IsNaN(values[i]) ? float.NaN : values[i]);
        }

        return bits;
    }
}
