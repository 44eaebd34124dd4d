using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>The device's arithmetic, compiled for the host, against the reference.</summary>
public sealed unsafe class HostRuleTests
{
    [Fact]
    public void Every_bf16_magnitude_gets_the_references_scale()
    {
        using HostRule rule = new HostRule();
        for (uint bits = 0; bits <= 0x7F80; bits++)
        {
            Assert.Equal(Mxfp8.Scale([BFloat16.ToSingle((ushort)bits)]), rule.Scale(bits << 16));
        }
    }

    [Fact]
    public void Float32_magnitudes_round_up_just_above_the_bound()
    {
        using HostRule rule = new HostRule();
        for (int exponent = -120; exponent < 128; exponent++)
        {
            float bound = (float)Math.ScaleB(1.75, exponent);
            foreach (float amax in (float[])[MathF.BitDecrement(bound), bound, MathF.BitIncrement(bound)])
            {
                Assert.Equal(Mxfp8.Scale([amax]), rule.Scale(BitConverter.SingleToUInt32Bits(amax)));
            }
        }
    }

    [Fact]
    public void A_multiplier_is_the_scales_inverse()
    {
        using HostRule rule = new HostRule();
        Assert.Equal(0, rule.Multiplier(0));
        for (uint scale = 1; scale <= 254; scale++)
        {
            Assert.Equal(Math.ScaleB(1, 127 - (int)scale), rule.Multiplier(scale));
        }
    }

    [Fact]
    public void Every_bf16_value_and_every_tie_gets_the_references_code()
    {
        using HostRule rule = new HostRule();
        for (uint bits = 0; bits <= 0xFFFF; bits++)
        {
            AssertCode(rule, (float)BFloat16.ToSingle((ushort)bits));
        }

        for (int code = 0; code < 0x7E; code++)
        {
            float tie = (float)((E4M3.Decode((byte)code) + E4M3.Decode((byte)(code + 1))) / 2);
            foreach (float value in (float[])[MathF.BitDecrement(tie), tie, MathF.BitIncrement(tie)])
            {
                AssertCode(rule, value);
                AssertCode(rule, -value);
            }
        }
    }

    private static void AssertCode(HostRule rule, float value)
    {
        uint code = rule.Code(value);
        Assert.True(code == E4M3.Encode(value), $"{value:R} became 0x{code:x}, not 0x{E4M3.Encode(value):x}");
    }
}
