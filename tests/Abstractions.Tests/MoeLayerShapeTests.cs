namespace Moe.Plugins.Abstractions.Tests;

public sealed class MoeLayerShapeTests
{
    [Theory]
    [InlineData(2890, 2880, 32, 4, "hidden size is 2890")]
    [InlineData(2880, 2881, 32, 4, "intermediate size is 2881")]
    [InlineData(0, 2880, 32, 4, "hidden size is 0")]
    [InlineData(2880, 2880, 0, 1, "number of experts is 0")]
    [InlineData(2880, 2880, 4, 5, "top-k is 5")]
    [InlineData(2880, 2880, 4, 0, "top-k is 0")]
    public void A_size_that_is_none_is_named(int hidden, int intermediate, int experts, int topK, string message)
    {
        var shape = new MoeLayerShape { HiddenSize = hidden, IntermediateSize = intermediate, ExpertCount = experts, TopK = topK };

        MoeException error = Assert.Throws<MoeException>(shape.Validate);

        Assert.Equal(MoeReason.Shape, error.Reason);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Only_mxfp4_needs_whole_blocks()
    {
        var shape = new MoeLayerShape
        {
            HiddenSize = 7,
            IntermediateSize = 3,
            ExpertCount = 1,
            TopK = 1,
            WeightFormat = MoeWeightFormat.BFloat16,
        };

        shape.Validate();
    }

    [Theory]
    [InlineData(0f, 7f)]
    [InlineData(float.NaN, 7f)]
    [InlineData(1.702f, -1f)]
    [InlineData(1.702f, float.NaN)]
    public void An_activation_has_positive_constants(float alpha, float limit) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => MoeActivation.SwiGluOai(alpha, limit));
}
