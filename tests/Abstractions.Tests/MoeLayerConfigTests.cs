using CsCheck;
using Moq;

namespace Moe.Plugins.Abstractions.Tests;

public sealed class MoeLayerConfigTests
{
    private static readonly MoeLayerShape Shape = MoeLayerShape.GptOss20B;

    [Fact]
    public void Sizes_come_from_the_method()
    {
        var method = new Mock<IMoeQuantMethod>(MockBehavior.Strict);
        method.Setup(m => m.RoundUpHiddenSize(It.IsAny<int>())).Returns(3072);
        method.Setup(m => m.RoundUpIntermediateSize(It.IsAny<int>())).Returns(2944);
        method.SetupGet(m => m.SupportsSkipForwardPadding).Returns(false);
        method.SetupGet(m => m.HasUnpaddedOutput).Returns(true);

        MoeLayerConfig config = MoeLayerConfig.Create(Shape, method.Object);

        Assert.Equal((3072, 2944), (config.HiddenSize, config.IntermediateSize));
        Assert.Equal((3072, 2880), (config.InputWidth, config.OutputWidth));
        Assert.True(config.HostPadsInput);
        Assert.False(config.HostSlicesOutput);
        Assert.Same(Shape, config.Shape);
    }

    [Theory]
    [InlineData(false, false, 3072, 3072)]
    [InlineData(true, false, 2880, 3072)]
    [InlineData(false, true, 3072, 2880)]
    [InlineData(true, true, 2880, 2880)]
    public void The_two_capabilities_are_independent(bool skips, bool unpadded, int input, int output)
    {
        MoeLayerConfig config = MoeLayerConfig.Create(Shape, Method(256, 128, skips, unpadded));

        Assert.Equal((input, output), (config.InputWidth, config.OutputWidth));
        Assert.Equal((!skips, !unpadded), (config.HostPadsInput, config.HostSlicesOutput));
    }

    [Theory]
    [InlineData(65536, true)]
    [InlineData(131072, false)]
    [InlineData(int.MaxValue, false)]
    public void Sizes_are_rounded_by_less_than_65536(int rounded, bool isTaken)
    {
        var method = new Mock<IMoeQuantMethod>();
        method.Setup(m => m.RoundUpHiddenSize(It.IsAny<int>())).Returns(rounded);
        method.Setup(m => m.RoundUpIntermediateSize(It.IsAny<int>())).Returns<int>(size => size);
        if (isTaken)
        {
            Assert.Equal(rounded, MoeLayerConfig.Create(Shape, method.Object).HiddenSize);
            return;
        }

        MoeException error = Assert.Throws<MoeException>(() => MoeLayerConfig.Create(Shape, method.Object));
        Assert.Equal(MoeReason.ContractBroken, error.Reason);
        Assert.Contains("less than 65536 more is expected", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Where_nothing_is_padded_nothing_is_copied()
    {
        MoeLayerConfig config = MoeLayerConfig.Create(Shape, Method(32, 32, skips: false, unpadded: false));

        Assert.False(config.HostPadsInput);
        Assert.False(config.HostSlicesOutput);
    }

    [Theory]
    [InlineData(true, 3072)]
    [InlineData(false, 2880)]
    public void A_skip_counts_unless_padding_is_forced(bool isForced, int width)
    {
        MoeLayerConfig config = MoeLayerConfig.Create(Shape, Method(256, 256, true, true), new() { ForcePadding = isForced });

        Assert.Equal((width, width), (config.InputWidth, config.OutputWidth));
    }

    [Theory]
    [InlineData(false, 7)]
    [InlineData(true, 28)]
    public void The_method_gets_the_tokens_of_all_ranks_where_they_are_dispatched(bool isDispatched, int tokens)
    {
        MoeLayerShape part = Shape.Slice(MoePart.OfRank(1, tensorCount: 2, expertCount: 2));

        MoeLayerConfig config = MoeLayerConfig.Create(part, Method(256, 256, true, true), new() { MaxTokens = 7, DispatchTokens = isDispatched });

        Assert.Equal(tokens, config.MaxTokens);
    }

    [Fact]
    public void More_tokens_of_all_ranks_than_can_be_counted_are_refused()
    {
        MoeLayerShape part = Shape.Slice(MoePart.OfRank(1, tensorCount: 2, expertCount: 2));

        MoeException error = Assert.Throws<MoeException>(
            () => MoeLayerConfig.Create(part, Method(256, 256, true, true), new() { MaxTokens = int.MaxValue / 4 + 1, DispatchTokens = true }));

        Assert.Equal(MoeReason.Configuration, error.Reason);
        Assert.Contains("1 to 536870911 is expected", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_rule_that_rounds_down_is_refused_by_name()
    {
        var method = new Mock<IMoeQuantMethod>();
        method.Setup(m => m.RoundUpHiddenSize(It.IsAny<int>())).Returns<int>(size => size);
        method.Setup(m => m.RoundUpIntermediateSize(It.IsAny<int>())).Returns(2816);

        MoeException error = Assert.Throws<MoeException>(() => MoeLayerConfig.Create(Shape, method.Object));

        Assert.Equal(MoeReason.ContractBroken, error.Reason);
        Assert.Contains("RoundUpIntermediateSize(2880) returned 2816", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_rule_that_is_not_idempotent_is_refused()
    {
        var method = new Mock<IMoeQuantMethod>();
        method.Setup(m => m.RoundUpHiddenSize(It.IsAny<int>())).Returns<int>(size => size + 64);

        MoeException error = Assert.Throws<MoeException>(() => MoeLayerConfig.Create(Shape, method.Object));

        Assert.Equal(MoeReason.ContractBroken, error.Reason);
        Assert.Contains("idempotent", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Any_alignments_give_a_config_in_step_with_the_method() =>
        Gen.Select(Gen.Int[1, 300], Gen.Int[1, 300], Gen.Int[1, 180], Gen.Int[1, 180], Gen.Bool, Gen.Bool)
            .Sample((hiddenAlignment, intermediateAlignment, hiddenBlocks, intermediateBlocks, skips, unpadded) =>
            {
                MoeLayerShape shape = Shape with { HiddenSize = 32 * hiddenBlocks, IntermediateSize = 32 * intermediateBlocks };
                IMoeQuantMethod method = Method(hiddenAlignment, intermediateAlignment, skips, unpadded);
                MoeLayerConfig config = MoeLayerConfig.Create(shape, method);

                Assert.Equal(method.RoundUpHiddenSize(shape.HiddenSize), config.HiddenSize);
                Assert.Equal(method.RoundUpIntermediateSize(shape.IntermediateSize), config.IntermediateSize);
                Assert.Equal(skips ? shape.HiddenSize : config.HiddenSize, config.InputWidth);
                Assert.Equal(unpadded ? shape.HiddenSize : config.HiddenSize, config.OutputWidth);
            });

    [Theory]
    [InlineData(0, MoeElementType.BFloat16, "MaxTokens")]
    [InlineData(1, MoeElementType.Int32, "InputType")]
    public void Options_out_of_range_are_named(int maxTokens, MoeElementType inputType, string name)
    {
        MoeException error = Assert.Throws<MoeException>(
            () => MoeLayerConfig.Create(Shape, new MinimalMethod(1), new() { MaxTokens = maxTokens, InputType = inputType }));

        Assert.Equal(MoeReason.Configuration, error.Reason);
        Assert.Contains(name, error.Message, StringComparison.Ordinal);
    }

    private static IMoeQuantMethod Method(int hiddenAlignment, int intermediateAlignment, bool skips, bool unpadded)
    {
        var method = new Mock<IMoeQuantMethod>(MockBehavior.Strict);
        method.Setup(m => m.RoundUpHiddenSize(It.IsAny<int>()))
            .Returns<int>(size => (size + hiddenAlignment - 1) / hiddenAlignment * hiddenAlignment);
        method.Setup(m => m.RoundUpIntermediateSize(It.IsAny<int>()))
            .Returns<int>(size => (size + intermediateAlignment - 1) / intermediateAlignment * intermediateAlignment);
        method.SetupGet(m => m.SupportsSkipForwardPadding).Returns(skips);
        method.SetupGet(m => m.HasUnpaddedOutput).Returns(unpadded);
        return method.Object;
    }
}
