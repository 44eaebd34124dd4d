namespace Moe.Plugins.Abstractions.Tests;

public sealed class MoeLayerShapeTests
{
    [Theory]
    [InlineData(2890, 2880, 32, 4, "hidden size is 2890")]
    [InlineData(2880, 2881, 32, 4, "intermediate size is 2881")]
    [InlineData(0, 2880, 32, 4, "hidden size is 0")]
    [InlineData(2147483616, 2880, 32, 4, "hidden size is 2147483616; at most 1073741823 is expected")]
    [InlineData(2880, 2147483616, 32, 4, "intermediate size is 2147483616; at most 1073741823 is expected")]
    [InlineData(2880, 2880, 0, 1, "the number of experts, is 0")]
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
    [Fact]
    public void Blocks_of_32_are_shared_out_and_the_last_rank_has_the_rest()
    {
        MoePart[] parts = [.. Enumerable.Range(0, 4).Select(rank => new MoePart { TensorRank = rank, TensorCount = 4 })];

        Assert.Equal([736, 736, 736, 672], parts.Select(part => MoeLayerShape.GptOss120B.Slice(part).IntermediateSize));
        Assert.Equal([true, false, false, false], parts.Select(part => MoeLayerShape.GptOss120B.Slice(part).HasDownBias));
    }

    [Fact]
    public void Experts_are_shared_out_and_the_router_still_sees_all()
    {
        MoeLayerShape[] shapes = [.. Enumerable.Range(0, 3)
            .Select(rank => MoeLayerShape.GptOss20B.Slice(new MoePart { ExpertRank = rank, ExpertCount = 3 }))];

        Assert.Equal([(0, 11), (11, 11), (22, 10)], shapes.Select(shape => (shape.FirstExpert, shape.LocalExpertCount)));
        Assert.All(shapes, shape => Assert.Equal((32, 2880, true), (shape.ExpertCount, shape.IntermediateSize, shape.HasDownBias)));
    }

    [Theory]
    [InlineData(91, 1, "leaves nothing to the last of 91 tensor ranks; of 90 each has some")]
    [InlineData(1, 33, "32 experts leave none to the last of 33 expert ranks; of 32 each has some")]
    [InlineData(16, 1, "leaves nothing to the last of 16 tensor ranks; of 15 each has some")]
    [InlineData(1, 12, "leave none to the last of 12 expert ranks; of 11 each has some")]
    public void Too_many_ranks_are_an_error_on_the_rank_that_has_nothing(int tensor, int expert, string message)
    {
        var part = new MoePart { TensorRank = tensor - 1, TensorCount = tensor, ExpertRank = expert - 1, ExpertCount = expert };

        MoeException error = Assert.Throws<MoeException>(() => MoeLayerShape.GptOss20B.Slice(part));

        Assert.Equal(MoeReason.Shape, error.Reason);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Every_rank_hears_that_there_are_too_many() => Assert.Throws<MoeException>(
        () => MoeLayerShape.GptOss20B.Slice(new MoePart { TensorRank = 0, TensorCount = 91 }));

    [Theory]
    [InlineData(2, 2, 0, 1, "TensorRank 2 of TensorCount 2")]
    [InlineData(0, 1, -1, 2, "ExpertRank -1 of ExpertCount 2")]
    public void A_rank_that_is_none_is_named(int tensorRank, int tensorCount, int expertRank, int expertCount, string message)
    {
        var part = new MoePart { TensorRank = tensorRank, TensorCount = tensorCount, ExpertRank = expertRank, ExpertCount = expertCount };

        MoeException error = Assert.Throws<MoeException>(() => MoeLayerShape.GptOss20B.Slice(part));

        Assert.Equal(MoeReason.Configuration, error.Reason);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }
}
