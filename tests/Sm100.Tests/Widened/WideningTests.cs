using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>BF16 numbers from E4M3 codes and scale bytes: the kernels' own code, compiled for the host.</summary>
public sealed unsafe class WideningTests
{
    private const string Exports =
        """
        #include "mxfp8_round.cuh"
        extern "C" u32 widen_of(u32 codes, u32 scales) { return widen_e4m3x2(codes, scales); }
        extern "C" u32 magnitudes_of(float low, float high) { return magnitudes_bf16x2(low, high); }
        extern "C" unsigned scale_of(unsigned amax) { return mxfp8_scale(amax); }
        """;

    [Fact]
    public void Every_code_with_every_scale_is_its_value()
    {
        using HostLibrary library = HostLibrary.CompileBlock("mxfp8_round.cuh", Exports);
        var widen = (delegate* unmanaged<uint, uint, uint>)library.Export("widen_of");
        for (uint scale = 0; scale <= 254; scale++)
        {
            for (uint code = 0; code <= 0xFF; code++)
            {
                // Beside another code and scale, that the halves are seen to be apart.
                uint pair = widen((code << 8) | 0x38000000u, scale | (127u << 16));
                Assert.Equal(0x3F80u, pair >> 16);
                double expected = E4M3.Decode((byte)code) * Math.ScaleB(1, (int)scale - 127);
                bool isInRange = Math.Abs(expected) is >= 7.4e-40 and <= 3.38e38;
                double actual = Mxfp8Reference.FromBf16((ushort)pair);
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

    [Fact]
    public void A_magnitude_in_BF16_has_the_scale_of_the_float32()
    {
        using HostLibrary library = HostLibrary.CompileBlock("mxfp8_round.cuh", Exports);
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
