using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>The kernels on a device against the reference, bit for bit, with garbage behind every row.</summary>
public sealed class QuantizerTests
{
    /// <summary>Rows, hidden, padded hidden, gap behind a row in elements: aligned rows, odd ones, parts of blocks, more rows than a tile.</summary>
    public static TheoryData<int, int, int, int> Sizes() => new()
    {
        { 1, 32, 32, 0 },
        { 1, 2880, 3072, 0 },
        { 3, 2880, 3072, 8 },
        { 130, 288, 512, 16 },
        { 257, 96, 96, 0 },
        { 5, 320, 512, 3 },
        { 7, 360, 512, 8 },
        { 4, 45, 64, 1 },
        { 300, 2880, 2880, 8 },
    };

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Random_rows_of_all_magnitudes(int rows, int hidden, int padded, int gap)
    {
        var random = new Random(rows + hidden);
        ushort[,] values = new ushort[rows, hidden];
        for (int row = 0; row < rows; row++)
        {
            for (int column = 0; column < hidden; column++)
            {
                // A few blocks of any bits at all, infinities and NaN among them; the others of one magnitude, as activations are.
                values[row, column] = (row + (column / 32)) % 5 == 0
                    ? (ushort)random.Next(0x10000)
                    : BFloat16.FromDouble(Math.ScaleB(random.NextDouble() - 0.5, ((row * 7) + (column / 32)) % 60 - 30));
            }
        }

        Check(values, padded, gap);
    }

    [Fact]
    public void Every_bf16_value_beside_every_kind_of_largest()
    {
        ushort[] largest = [0, 0x0001, 0x0080, 0x0460, 0x0461, 0x3F80, 0x3FE0, 0x3FE1, 0x43E0, 0x43E1, 0x7F7F, 0x7F80, 0xFF80, 0x7FC0];
        ushort[,] values = new ushort[0x10000 / 31 * largest.Length / 16, 32 * 16];
        int next = 0;
        for (int row = 0; row < values.GetLength(0); row++)
        {
            for (int column = 0; column < values.GetLength(1); column++)
            {
                values[row, column] = column % 32 == 0 ? largest[(row * 16 + (column / 32)) % largest.Length] : (ushort)next++;
            }
        }

        Check(values, 512, gap: 0);
    }

    [Fact]
    public void Every_tie_between_two_codes_goes_to_the_even_one()
    {
        // With a largest of 448 the scale is 1. The ties of E4M3 have one bit more than it, so BF16 holds them all.
        ushort[,] values = new ushort[9, 32];
        for (int code = 0; code < 0x7E * 2; code++)
        {
            double tie = (E4M3.Decode((byte)(code / 2)) + E4M3.Decode((byte)((code / 2) + 1))) / 2;
            values[code / 31, 1 + (code % 31)] = BFloat16.FromDouble(code % 2 == 0 ? tie : -tie);
        }

        for (int row = 0; row < 9; row++)
        {
            values[row, 0] = 0x43E0;
        }

        Check(values, 32, gap: 0);
    }

    [Fact]
    public void No_rows_are_no_launch()
    {
        using CudaContext context = RequireContext();
        using KernelLibrary library = Library(context);
        using CudaContextScope scope = context.MakeCurrent();
        var empty = new MoeTensorView(0, MoeDevice.Cuda(0), MoeElementType.BFloat16, 0, 32);

        new Mxfp8Quantizer(library).Enqueue(empty, 0, 0, 32);
    }

    private static CudaContext RequireContext()
    {
        bool isLoaded = CudaDriver.TryLoad(out string? reason);
        Assert.SkipUnless(isLoaded, $"needs a CUDA device: {reason}");
        Assert.SkipUnless(CudaDevice.Count > 0, "needs a CUDA device: there is none");
        return CudaContext.RetainPrimary(CudaDevice.Get(0));
    }

    private static KernelLibrary Library(CudaContext context) => new(context, new KernelCompiler(), typeof(QuantizerTests).Assembly);

    private static void Check(ushort[,] values, int padded, int gap)
    {
        using CudaContext context = RequireContext();
        using KernelLibrary library = Library(context);
        using CudaContextScope scope = context.MakeCurrent();
        var memory = new CudaMoeMemory(library);
        var quantizer = new Mxfp8Quantizer(library);
        int rows = values.GetLength(0);
        using DeviceTensor input = Upload(memory, values, gap);
        foreach (Mxfp8ScaleOrder order in Enum.GetValues<Mxfp8ScaleOrder>())
        {
            using var codes = new DeviceTensor(memory, MoeElementType.UInt8, rows, padded);
            using var scales = new DeviceTensor(memory, MoeElementType.UInt8, 1, (int)Mxfp8Layout.ScaleBytes(rows, padded, order));
            quantizer.Enqueue(input.View, codes.View.Address, scales.View.Address, padded, order);
            memory.Synchronize(0);

            (byte[] expectedCodes, byte[] expectedScales) = Mxfp8Reference.Quantize(values, padded, order);
            AssertSame(expectedScales, scales, "scale");
            AssertSame(expectedCodes, codes, "code");
        }

        int hidden = values.GetLength(1);
        if (hidden % 32 == 0 && gap % 8 == 0)
        {
            using var rounded = new DeviceTensor(memory, MoeElementType.BFloat16, rows, hidden);
            quantizer.Round(new ExpertRows(input.View.Address, hidden + gap, rows), hidden, rounded.View.Address, stream: 0);
            memory.Synchronize(0);
            AssertWidened(values, rounded);
        }
    }

    /// <summary>What rows are rounded to is what their codes and scales stand for, and 0 where the scale byte is 0.</summary>
    private static unsafe void AssertWidened(ushort[,] values, DeviceTensor actual)
    {
        int hidden = values.GetLength(1);
        (byte[] codes, byte[] scales) = Mxfp8Reference.Quantize(values, hidden, Mxfp8ScaleOrder.Linear);
        using MoeBuffer host = actual.Download();
        var numbers = new ReadOnlySpan<ushort>((void*)host.View.Address, codes.Length);
        for (int i = 0; i < codes.Length; i++)
        {
            byte scale = scales[i / 32];
            double value = E4M3.Decode(codes[i]);
            float expected = BFloat16.ToSingle(BFloat16.FromDouble(scale != 0 || double.IsNaN(value) ? Math.ScaleB(value, scale - 127) : 0));
            float number = BFloat16.ToSingle(numbers[i]);
            Assert.True(expected.Equals(number), $"{i}: code 0x{codes[i]:x2}, scale {scale}: {number}, not {expected}");
        }
    }

    private static unsafe DeviceTensor Upload(CudaMoeMemory memory, ushort[,] values, int gap)
    {
        fixed (ushort* first = values)
        {
            var host = new MoeTensorView((nint)first, MoeDevice.Cpu, MoeElementType.BFloat16, values.GetLength(0), values.GetLength(1));
            return DeviceTensor.CopyOf(memory, host, gap);
        }
    }

    private static unsafe void AssertSame(byte[] expected, DeviceTensor actual, string what)
    {
        using MoeBuffer host = actual.Download();
        var bytes = new ReadOnlySpan<byte>((void*)host.View.Address, (int)host.ByteCount);
        int at = bytes.CommonPrefixLength(expected);
        Assert.True(at == expected.Length, $"{what} {at} is 0x{(at < bytes.Length ? bytes[at] : 0):x2}, not 0x{(at < expected.Length ? expected[at] : 0):x2}");
    }
}
