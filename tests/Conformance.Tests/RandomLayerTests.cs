using CsCheck;

namespace Moe.Plugins.Conformance.Tests;

public sealed class RandomLayerTests
{
    [Fact]
    public void The_same_seed_gives_the_same_layer_and_another_another()
    {
        MoeLayerShape shape = MoeLayerShape.GptOss20B with { HiddenSize = 96, IntermediateSize = 64, ExpertCount = 3, TopK = 2 };
        using var first = new RandomLayer(shape, 7);
        using var again = new RandomLayer(shape, 7);
        using var other = new RandomLayer(shape, 8);
        Assert.Equal(Tensors.Bytes(first.Tensors.GateUp.Values), Tensors.Bytes(again.Tensors.GateUp.Values));
        Assert.Equal(Tensors.Bytes(first.Tensors.RouterWeight), Tensors.Bytes(again.Tensors.RouterWeight));
        Assert.NotEqual(Tensors.Bytes(first.Tensors.GateUp.Values), Tensors.Bytes(other.Tensors.GateUp.Values));
    }

    [Fact]
    public void Every_code_occurs_and_three_scales()
    {
        using var layer = new RandomLayer(MoeLayerShape.GptOss20B with { HiddenSize = 96, IntermediateSize = 64, ExpertCount = 8 }, 1);
        Assert.Equal(256, Tensors.Bytes(layer.Tensors.GateUp.Values).Distinct().Count());
        Assert.Equal(3, Tensors.Bytes(layer.Tensors.GateUp.Scales).Distinct().Count());
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(2)]
    public void A_token_that_was_not_computed_has_no_results(int index)
    {
        var shape = new MoeLayerShape { HiddenSize = 64, IntermediateSize = 64, ExpertCount = 4, TopK = 2 };
        using var layer = new RandomLayer(shape, 2);
        using MoeBuffer input = RandomInput.Create(5, 64, 3);
        OracleResult result = MoeOracle.Compute(shape, layer.Source, input.View, new OracleOptions { Tokens = [4, 1] }, TestContext.Current.CancellationToken);

        Assert.Throws<ArgumentOutOfRangeException>(nameof(index), () => result.Output(index));
        Assert.Throws<ArgumentOutOfRangeException>(nameof(index), () => result.Routing.Ids(index));
        Assert.Throws<ArgumentOutOfRangeException>(nameof(index), () => result.Routing.Weights(index));
        Assert.Throws<ArgumentOutOfRangeException>(nameof(index), () => result.Routing.Logits(index));
        Assert.Throws<ArgumentOutOfRangeException>(nameof(index), () => result.Routing.Ranks(index));
    }

    [Theory]
    [InlineData(MoeWeightFormat.Mxfp4, 2880, 64)]
    [InlineData(MoeWeightFormat.Mxfp4, 64, 2880)]
    [InlineData(MoeWeightFormat.BFloat16, 320, 96)]
    public void The_output_is_of_ordinary_scale(MoeWeightFormat format, int hidden, int intermediate)
    {
        var shape = new MoeLayerShape { HiddenSize = hidden, IntermediateSize = intermediate, ExpertCount = 8, TopK = 4, WeightFormat = format };
        using var layer = new RandomLayer(shape, 2);
        using MoeBuffer input = RandomInput.Create(8, hidden, 3);
        OracleResult result = MoeOracle.Compute(shape, layer.Source, input.View, null, TestContext.Current.CancellationToken);
        double deviation = Math.Sqrt(Enumerable.Range(0, 8).SelectMany(token => result.Output(token).ToArray()).Average(value => value * value));
        Assert.InRange(deviation, 0.1, 10);
    }

    [Fact]
    public void Inputs_have_outliers_in_every_97th_channel()
    {
        using MoeBuffer input = RandomInput.Create(200, 200, 1);
        double Deviation(int column) =>
            Math.Sqrt(Enumerable.Range(0, 200).Average(row => Math.Pow(Tensors.Single(input.View, row)[column], 2)));
        Assert.All(Enumerable.Range(0, 200), column =>
        {
            double scale = column % 97 == 0 ? 12 : 1;
            Assert.InRange(Deviation(column), 0.75 * scale, 1.25 * scale);
        });
    }

    [Fact]
    public void Any_shape_fits_its_own_source() =>
        Gen.Select(Gen.Int[1, 4], Gen.Int[1, 4], Gen.Int[1, 9], Gen.Bool, Gen.Bool, Gen.Bool).Sample(
            (hidden, intermediate, experts, isMxfp4, routerBias, expertBias) =>
            {
                int unit = isMxfp4 ? 32 : 7;
                var shape = new MoeLayerShape
                {
                    HiddenSize = hidden * unit,
                    IntermediateSize = intermediate * unit,
                    ExpertCount = experts,
                    TopK = 1,
                    WeightFormat = isMxfp4 ? MoeWeightFormat.Mxfp4 : MoeWeightFormat.BFloat16,
                    Router = MoeRouter.TopKThenSoftmax with { HasLogitBias = routerBias },
                    HasExpertBias = expertBias,
                };
                using var layer = new RandomLayer(shape, hidden);
                layer.Source.Validate(shape);
            },
            iter: 50);
}
