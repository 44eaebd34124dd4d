using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>The kernel's own code on threads of the host against the reference, bit for bit: what can be said of it without a device.</summary>
public sealed unsafe class QuantizerModelTests
{
    private const byte Untouched = 0xEE;

    private const string Exports =
        """
        #include "quantize.cu"
        extern "C" void quantize(const QuantizeParameters* p, int is_aligned, int blocks)
        {
            for (int block = 0; block < blocks; block++)
            {
                run_block(kThreads, [=] {
                    blockIdx.x = block;
                    (is_aligned ? mxfp8_quantize : mxfp8_quantize_unaligned)(*p);
                });
            }
        }
        extern "C" void round_rows(const QuantizeParameters* p, int blocks)
        {
            for (int block = 0; block < blocks; block++)
            {
                run_block(kThreads, [=] {
                    blockIdx.x = block;
                    mxfp8_round(*p);
                });
            }
        }
        """;

    /// <summary>Rows, hidden, padded hidden, gap behind a row in elements, whether the aligned kernel is to do it.</summary>
    [Theory]
    [InlineData(1, 2880, 3072, 0, true)]
    [InlineData(130, 288, 512, 16, true)]
    [InlineData(7, 360, 512, 8, true)]
    [InlineData(5, 320, 512, 3, false)]
    [InlineData(4, 45, 64, 1, false)]
    [InlineData(33, 96, 96, 0, false)]
    public void Rows_become_codes_and_scales(int rows, int hidden, int padded, int gap, bool isAligned)
    {
        using HostLibrary library = HostLibrary.CompileBlock("quantize.cu", Exports);
        var quantize = (delegate* unmanaged<Mxfp8Quantizer.Parameters*, int, int, void>)library.Export("quantize");
        var random = new Random(rows + hidden);
        ushort[,] values = new ushort[rows, hidden];
        ushort[] input = new ushort[rows * (hidden + gap)];
        Array.Fill(input, (ushort)0xFFFF);
        for (int row = 0; row < rows; row++)
        {
            for (int column = 0; column < hidden; column++)
            {
                ushort value = (row + (column / 32)) % 5 == 0
                    ? (ushort)random.Next(0x10000)
                    : BFloat16.FromDouble(Math.ScaleB(random.NextDouble() - 0.5, ((row * 7) + (column / 32)) % 60 - 30));
                values[row, column] = value;
                input[(row * (hidden + gap)) + column] = value;
            }
        }

        foreach (Mxfp8ScaleOrder order in Enum.GetValues<Mxfp8ScaleOrder>())
        {
            (byte[] expectedCodes, byte[] expectedScales) = Mxfp8Reference.Quantize(values, padded, order);
            byte[] codes = Buffer(expectedCodes.Length);
            byte[] scales = Buffer(expectedScales.Length);
            fixed (ushort* source = input)
            {
                fixed (byte* c = codes, s = scales)
                {
                    var parameters = new Mxfp8Quantizer.Parameters
                    {
                        Source = (nint)source,
                        Codes = (nint)c,
                        Scales = (nint)s,
                        SourceStride = (hidden + gap) * sizeof(ushort),
                        Tokens = rows,
                        Hidden = hidden,
                        Padded = padded,
                        ScaleColumns = Mxfp8Layout.ScaleColumns(padded, order),
                        ScaleRows = Mxfp8Layout.ScaleRows(rows, order),
                        Swizzled = order == Mxfp8ScaleOrder.Swizzled128x4 ? 1 : 0,
                    };
                    int pieces = parameters.ScaleRows * parameters.ScaleColumns * 4;
                    quantize(&parameters, isAligned ? 1 : 0, (pieces + 1023) / 1024);
                }
            }

            Assert.Equal(expectedScales, scales[..expectedScales.Length]);
            Assert.Equal(expectedCodes, codes[..expectedCodes.Length]);
            Assert.Equal(Untouched, scales[^1]);
            Assert.Equal(Untouched, codes[^1]);
        }
    }

    [Theory]
    [InlineData(1, 2880, 0)]
    [InlineData(7, 192, 16)]
    public void Few_rows_become_the_numbers_that_their_codes_stand_for(int rows, int hidden, int gap)
    {
        const ushort Outside = 0xFFFF;
        using HostLibrary library = HostLibrary.CompileBlock("quantize.cu", Exports);
        var round = (delegate* unmanaged<Mxfp8Quantizer.Parameters*, int, void>)library.Export("round_rows");
        var random = new Random(hidden);
        int stride = hidden + gap;
        ushort[] input = [.. Enumerable.Range(0, rows * stride).Select(i => i % stride < hidden
            ? BFloat16.FromDouble(Math.ScaleB(random.NextDouble() - 0.5, random.Next(-20, 20)))
            : Outside)];
        ushort[] output = new ushort[(rows * hidden) + 1];
        Array.Fill(output, Outside);
        fixed (ushort* source = input, target = output)
        {
            var parameters = new Mxfp8Quantizer.Parameters
            {
                Source = (nint)source,
                Codes = (nint)target,
                SourceStride = stride * sizeof(ushort),
                Tokens = rows,
                Hidden = hidden,
                Padded = hidden,
            };
            round(&parameters, ((rows * hidden / 8) + 255) / 256);
        }

        Assert.Equal(Outside, output[^1]);
        for (int row = 0; row < rows; row++)
        {
            double[] expected = Mxfp8.Round([.. Enumerable.Range(0, hidden).Select(column => BFloat16.ToSingle(input[(row * stride) + column]))]);
            Assert.Equal(expected, output[(row * hidden)..((row + 1) * hidden)].Select(bits => (double)BFloat16.ToSingle(bits)));
        }
    }

    /// <summary>A byte more than is needed, which nobody may touch.</summary>
    private static byte[] Buffer(int count)
    {
        byte[] bytes = new byte[count + 1];
        Array.Fill(bytes, Untouched);
        return bytes;
    }
}
