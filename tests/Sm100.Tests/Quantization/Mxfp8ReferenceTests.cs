using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>Holds the reference itself to vectors that were worked by hand from FlashInfer's rule.</summary>
public sealed class Mxfp8ReferenceTests
{
    [Theory]
    [InlineData(448, 127)]
    [InlineData(450, 128)]
    [InlineData(1.0, 119)]
    [InlineData(1.75, 119)]
    [InlineData(1.7578125, 120)]
    [InlineData(2.0, 120)]
    [InlineData(3.5, 120)]
    [InlineData(7.0, 121)]
    [InlineData(0, 0)]
    [InlineData(double.PositiveInfinity, 254)]
    [InlineData(double.NaN, 0)]
    public void The_scale_is_the_least_power_of_two_that_holds_the_block(double amax, byte expected) =>
        Assert.Equal(expected, Mxfp8.Scale([0, -amax, 0]));

    [Theory]
    [InlineData(3.5, 120, new byte[] { 0x70, 0xE2, 0x4D, 0x7E, 0x00 })]
    [InlineData(3.53125, 121, new byte[] { 0x68, 0xDA, 0x45, 0x76, 0x00 })]
    public void Whole_blocks_come_out_as_worked(double largest, byte scale, byte[] codes)
    {
        ushort[,] rows = new ushort[1, 32];
        double[] values = [1.0, -0.3, 0.05, largest];
        for (int i = 0; i < values.Length; i++)
        {
            rows[0, i] = BFloat16.FromDouble(values[i]);
        }

        (byte[] actual, byte[] scales) = Mxfp8Reference.Quantize(rows, 32, Mxfp8ScaleOrder.Linear);

        Assert.Equal(scale, scales[0]);
        Assert.Equal(codes, actual[..codes.Length]);
    }

    [Theory]
    [InlineData(0, 0, 0)]
    [InlineData(0, 1, 1)]
    [InlineData(0, 4, 512)]
    [InlineData(1, 0, 16)]
    [InlineData(31, 3, 499)]
    [InlineData(32, 0, 4)]
    [InlineData(33, 5, 533)]
    [InlineData(127, 95, 12287)]
    [InlineData(128, 0, 12288)]
    [InlineData(200, 90, 23690)]
    public void Scales_lie_in_tiles_of_128_by_4(int row, int block, long offset) =>
        Assert.Equal(offset, Mxfp8Layout.ScaleOffset(row, block, 3072, Mxfp8ScaleOrder.Swizzled128x4));

    [Fact]
    public void Every_code_is_its_own_nearest_and_ties_go_to_even()
    {
        for (int code = 0; code < 0x7E; code++)
        {
            double value = E4M3.Decode((byte)code);
            double next = E4M3.Decode((byte)(code + 1));
            Assert.Equal(code, E4M3.Encode(value));
            Assert.Equal(code + (code % 2), E4M3.Encode((value + next) / 2));
            Assert.Equal(0x80 | code, E4M3.Encode(-value));
        }

        Assert.Equal(0x7E, E4M3.Encode(double.PositiveInfinity));
        Assert.Equal(0xFE, E4M3.Encode(-1e9));
        Assert.Equal(448, E4M3.Decode(0x7E));
    }
}
