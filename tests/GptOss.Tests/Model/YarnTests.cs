namespace Moe.Plugins.GptOss.Tests;

/// <summary>Frequencies against published figures (openai/gpt-oss, <c>RotaryEmbedding</c>, computed in float64 outside of this project).</summary>
public sealed class YarnTests
{
    [Theory]
    [InlineData(0, 1.0)]
    [InlineData(8, 5.0813274815461475e-02)]
    [InlineData(9, 3.1705696184663769e-02)]
    [InlineData(12, 6.7949594897322189e-03)]
    [InlineData(17, 1.2931870124506317e-04)]
    [InlineData(18, 3.8308812373753384e-05)]
    [InlineData(31, 3.0235114281192144e-07)]
    public void The_published_model(int pair, double expected) =>
        Assert.Equal(expected, new YarnScaling().Frequencies(64)[pair], expected * 1e-12);

    [Theory]
    [InlineData(1, 3.2716811411016966e-01)]
    [InlineData(3, 7.1999030829544113e-03)]
    [InlineData(4, 1.5879148379831711e-03)]
    [InlineData(15, 4.3879782508643959e-07)]
    public void A_blend_that_begins_below_the_first_dimension(int pair, double expected) =>
        Assert.Equal(expected, new YarnScaling { OriginalContext = 64 }.Frequencies(32)[pair], expected * 1e-12);

    [Theory]
    [InlineData(12, 7.015714e-03)]
    [InlineData(17, 2.279478e-04)]
    public void Rounded_ends_give_other_frequencies(int pair, double expected) =>
        Assert.Equal(expected, new YarnScaling { Truncate = true }.Frequencies(64)[pair], expected * 1e-6);

    [Fact]
    public void The_attention_factor() => Assert.Equal(1.3465735902799727, new YarnScaling().AttentionFactor, 1e-15);
}
