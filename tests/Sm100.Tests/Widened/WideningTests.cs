using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>BF16 numbers from E4M3 codes and scale bytes: the kernels' own code, compiled for the host.</summary>
public sealed unsafe class WideningTests
{
    private const string Exports =
        """
        #include "epilogue/round_mxfp8.cuh"
        extern "C" u32 widen_of(u32 codes, u32 powers) { return widen_e4m3x2(codes, powers); }
        extern "C" u32 magnitudes_of(float low, float high) { return magnitudes_bf16x2(low, high); }
        extern "C" unsigned scale_of(unsigned amax) { return mxfp8_scale(amax); }
        extern "C" u32 scales_of(u32 magnitudes) { return mxfp8_scales(magnitudes); }
        """;

    [Fact]
    public void Every_code_with_every_scale_is_its_value()
    {
        using HostLibrary library = HostLibrary.CompileBlock("epilogue/round_mxfp8.cuh", Exports);
        var widen = (delegate* unmanaged<uint, uint, uint>)library.Export("widen_of");
        for (uint scale = 0; scale <= 254; scale++)
        {
            for (uint code = 0; code <= 0xFF; code++)
            {
                // Beside another code and scale, that the halves are seen to be apart.
                uint pair = widen(code | 0x3800u, (scale << 7) | (127u << 23));
                Assert.Equal(0x3F80u, pair >> 16);
                double expected = E4M3.Decode((byte)code) * Math.ScaleB(1, (int)scale - 127);
                bool isInRange = Math.Abs(expected) is >= 7.4e-40 and <= 3.38e38;
                double actual = BFloat16.ToSingle((ushort)pair);
                if (double.IsNaN(expected))
                {
                    Assert.True(double.IsNaN(actual));
                }
                else if (isInRange && scale > 0)
                {
                    Assert.Equal(expected, actual);
                }
                else if ((code & 0x7F) == 0)
                {
                    Assert.Equal(0, actual);
                }
            }
        }
    }

    [Theory]
    [InlineData(288)]
    [InlineData(1056)]
    public void Rows_are_rounded_in_the_order_of_the_pairs(int hidden)
    {
        const int Tokens = 5;
        const int TopK = 3;
        const int Experts = 2;
        const int Pairs = 13;
        const int Blocks = 3;
        const ushort Untouched = 0xFFFF;
        using HostLibrary library = HostLibrary.CompileBlock(
            "gather_mxfp8.cu",
            """
            #include "gather_mxfp8.cu"
            extern "C" void gather(const u16* x, u16* out, const int* sorted_pairs, const int* offsets, int stride, int columns, int top_k, int experts, int pairs, int blocks)
            {
                gridDim.x = blocks;
                for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++)
                {
                    run_block(256, [&] { moe_gather_mxfp8({x, out, sorted_pairs, offsets, stride, columns, top_k, experts, pairs}); });
                }
            }
            """);
        var gather = (delegate* unmanaged<ushort*, ushort*, int*, int*, int, int, int, int, int, int, void>)library.Export("gather");
        var random = new Random(3);
        int stride = hidden + 16;
        ushort[] input = [.. Enumerable.Range(0, Tokens * stride).Select(i => i % stride < hidden
            ? BFloat16.FromDouble(Math.ScaleB(random.NextDouble() - 0.5, random.Next(-20, 20)))
            : Untouched)];
        int[] sorted = [.. Enumerable.Range(0, Tokens * TopK).Select(place => place * 7 % (Tokens * TopK))];
        int[] offsets = [0, 4, Pairs];

        // A row more, which nobody may touch: there are fewer pairs than places for them.
        ushort[] output = new ushort[(Pairs + 1) * hidden];
        Array.Fill(output, Untouched);
        fixed (ushort* x = input, o = output)
        {
            fixed (int* order = sorted, first = offsets)
            {
                gather(x, o, order, first, stride, hidden, TopK, Experts, Tokens * TopK, Blocks);
            }
        }

        for (int place = 0; place < Pairs; place++)
        {
            int token = sorted[place] / TopK;
            double[] expected = Mxfp8.Round([.. Enumerable.Range(0, hidden).Select(column => BFloat16.ToSingle(input[(token * stride) + column]))]);
            Assert.Equal(expected, output[(place * hidden)..((place + 1) * hidden)].Select(bits => (double)BFloat16.ToSingle(bits)));
        }

        Assert.Equal(-1, output.AsSpan(Pairs * hidden).IndexOfAnyExcept(Untouched));
    }

    [Fact]
    public void Every_magnitude_has_the_rules_scale_in_either_half()
    {
        using HostLibrary library = HostLibrary.CompileBlock("epilogue/round_mxfp8.cuh", Exports);
        var scales = (delegate* unmanaged<uint, uint>)library.Export("scales_of");
        var scale = (delegate* unmanaged<uint, uint>)library.Export("scale_of");
        for (uint bits = 0; bits < 0x7F80; bits++)
        {
            uint other = 0x7F7F - bits;
            Assert.Equal(scale(bits << 16) | (scale(other << 16) << 16), scales(bits | (other << 16)));
        }

        Assert.Equal(scale(0x7F7F0000), scales(0x7F80) & 0xFF);
    }

    [Fact]
    public void A_magnitude_in_BF16_has_the_scale_of_the_float32()
    {
        using HostLibrary library = HostLibrary.CompileBlock("epilogue/round_mxfp8.cuh", Exports);
        var magnitudes = (delegate* unmanaged<float, float, uint>)library.Export("magnitudes_of");
        var scale = (delegate* unmanaged<uint, uint>)library.Export("scale_of");
        var random = new Random(1);
        for (int exponent = -126; exponent < 127; exponent++)
        {
            float bound = (float)Math.ScaleB(1.75, exponent);
            foreach (float value in (float[])[MathF.BitDecrement(bound), bound, MathF.BitIncrement(bound), (float)Math.ScaleB(1 + random.NextDouble(), exponent)])
            {
                uint pair = magnitudes(-value, value);
                uint expected = scale(BitConverter.SingleToUInt32Bits(value));
                Assert.Equal(expected, scale(pair << 16));
                Assert.Equal(expected, scale(pair & 0xFFFF0000u));
            }
        }
    }
}
