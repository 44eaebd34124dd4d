namespace Moe.Plugins.Conformance.Tests;

/// <summary>NVFP4's global scales apart from the weights, which are exact in BF16 then.</summary>
public sealed unsafe class ExpertFactorTests
{
    private const int Outputs = 64;
    private const int Inputs = 96;

    [Theory]
    [InlineData(MoeRowOrder.Interleaved)]
    [InlineData(MoeRowOrder.Separate)]
    public void Weights_times_their_factor_are_what_is_stored(MoeRowOrder order)
    {
        using RandomLayer layer = Layer(MoeWeightFormat.Nvfp4, order);
        var reader = new MoeExpertReader(layer.Source.GateUp, MoeWeightFormat.Nvfp4, Outputs, Inputs);
        float[] stored = new float[Outputs * Inputs];
        ushort[] weights = new ushort[Outputs * Inputs];
        float[] factors = new float[Outputs];
        Assert.True(reader.HasFactors);
        for (int expert = 0; expert < 3; expert++)
        {
            fixed (float* s = stored, f = factors)
            {
                fixed (ushort* w = weights)
                {
                    reader.ReadSingles(expert, (nint)s);
                    reader.ReadBFloat16(expert, (nint)w, (nint)f);
                    for (int i = 0; i < stored.Length; i++)
                    {
                        Assert.Equal(stored[i], (double)MoeBFloat16.ToSingle(weights[i]) * factors[i / Inputs], Math.Abs(stored[i]) * 1.3e-7);
                    }

                    // Rounded with the factor in them they are not.
                    Assert.InRange(reader.ReadBFloat16(expert, (nint)w).RelativeError, 1e-4, 4e-3);
                }
            }
        }

        Assert.Equal(order == MoeRowOrder.Separate, factors[0] != factors[1]);
    }

    [Fact]
    public void Other_formats_have_none()
    {
        using RandomLayer layer = Layer(MoeWeightFormat.Fp8Block, MoeRowOrder.Interleaved);
        var reader = new MoeExpertReader(layer.Source.GateUp, MoeWeightFormat.Fp8Block, Outputs, Inputs);

        Assert.False(reader.HasFactors);
        Assert.Throws<InvalidOperationException>(() => reader.ReadBFloat16(0, 0, 0));
    }

    private static RandomLayer Layer(MoeWeightFormat format, MoeRowOrder order) => new(
        new MoeLayerShape
        {
            HiddenSize = Inputs,
            IntermediateSize = Outputs / 2,
            ExpertCount = 3,
            TopK = 1,
            WeightFormat = format,
        },
        seed: 4,
        rowOrder: order);
}
