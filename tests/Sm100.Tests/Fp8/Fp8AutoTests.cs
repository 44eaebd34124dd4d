using Moe.Plugins.Conformance;
using Moe.Plugins.Cuda;
using Moe.Plugins.Kernels;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Sm100.Tests;

/// <summary>FP8 tensor cores for many tokens alone: few run on BF16 ones, with the same weights.</summary>
public sealed class Fp8AutoTests
{
    private static readonly (string Name, string Value) Auto = ("Fp8", "Auto");

    public static TheoryData<string, int, int> Variants()
    {
        var data = new TheoryData<string, int, int>();
        foreach (Mxfp4Variant variant in new Mxfp4Plan(new CudaArchitecture(9, 0), MoeLayerShape.GptOss20B, null, Mxfp4Activations.Mxfp8, Mxfp4Dealing.E4M3).Available)
        {
            // The hidden size ends within a step of 64 but for the stream, which takes only whole ones.
            data.Add(variant.ToString(), variant.Kind == Mxfp4Kind.Stream ? 320 : 352, 288);
            data.Add(variant.ToString(), 2880, 2880);
        }

        return data;
    }

    [Theory]
    [MemberData(nameof(Variants))]
    public void Codes_that_are_dealt_for_E4M3_give_BF16_products_the_same_bits(string kernels, int hidden, int intermediate)
    {
        Sm100.Host.RequireDevice();
        MoeLayerShape shape = new() { HiddenSize = hidden, IntermediateSize = intermediate, ExpertCount = 4, TopK = 2 };
        using var weights = new RandomLayer(shape, seed: 3);
        using MoeLayer own = Make(shape, weights, ("Kernels", kernels));
        using MoeLayer dealt = Make(shape, weights, ("Kernels", kernels), Auto);
        foreach (int tokens in new[] { 1, 8, 45, 300 })
        {
            AssertSameBits(own, dealt, tokens);
        }
    }

    [Fact]
    public void Many_tokens_are_multiplied_as_FP8_and_few_are_not()
    {
        Sm100.Fp8.RequireDevice();
        MoeLayerShape shape = new() { HiddenSize = 288, IntermediateSize = 352, ExpertCount = 8, TopK = 4 };
        using var weights = new RandomLayer(shape, seed: 4);
        using MoeLayer on = Make(shape, weights, ("Fp8", "On"));
        using MoeLayer auto = Make(shape, weights, Auto);
        using MoeLayer off = Make(shape, weights, ("Fp8", "Off"));
        Assert.SkipUnless(on.MultipliesFp8(1), "no FP8 tensor cores here that there are kernels for");
        Assert.False(off.MultipliesFp8(300));
        Assert.False(auto.MultipliesFp8(1));
        Assert.True(auto.MultipliesFp8(300));
        foreach (int tokens in new[] { 300, 1, 8, 45, 300 })
        {
            AssertSameBits(auto.MultipliesFp8(tokens) ? on : off, auto, tokens);
        }
    }

    private static MoeLayer Make(MoeLayerShape shape, RandomLayer weights, params (string Name, string Value)[] settings)
    {
        var request = new MoeLayerRequest { Shape = shape, Options = new MoeLayerOptions { MaxTokens = 300 } };
        return Sm100.Host.WithSettings(settings).CreateLayer(request, weights.Source);
    }

    private static void AssertSameBits(MoeLayer one, MoeLayer other, int tokens)
    {
        using MoeBuffer input = RandomInput.Create(tokens, one.Config.Shape.HiddenSize, seed: tokens);
        using MoeForwardState first = one.CreateState();
        using MoeForwardState second = other.CreateState();
        using DeviceRun expected = DeviceRun.Run(one, first, input.View);
        using DeviceRun actual = DeviceRun.Run(other, second, input.View);
        Assert.True(actual.HasBitsOf(expected), $"{tokens} tokens");
    }
}
