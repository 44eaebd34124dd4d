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

    [Fact]
    public void Where_nothing_is_padded_nothing_is_copied()
    {
        MoeLayerConfig config = MoeLayerConfig.Create(Shape, Method(32, 32, skips: false, unpadded: false));

        Assert.False(config.HostPadsInput);
        Assert.False(config.HostSlicesOutput);
    }

    [Fact]
    public void The_dispatcher_rounds_first_and_the_result_satisfies_both()
    {
        var rounded = new List<string>();
        var dispatcher = new Mock<IMoeDispatcher>();
        dispatcher.Setup(d => d.RoundUpHiddenSize(It.IsAny<int>()))
            .Returns<int>(size =>
            {
                rounded.Add($"dispatcher {size}");
                return size <= 2560 ? 2560 : size <= 5120 ? 5120 : size;
            });
        var method = new Mock<IMoeQuantMethod>();
        method.Setup(m => m.RoundUpHiddenSize(It.IsAny<int>()))
            .Returns<int>(size =>
            {
                rounded.Add($"method {size}");
                return (size + 255) / 256 * 256;
            });
        method.Setup(m => m.RoundUpIntermediateSize(It.IsAny<int>())).Returns<int>(size => size);

        MoeLayerConfig config = MoeLayerConfig.Create(Shape, method.Object, new() { Dispatcher = dispatcher.Object });

        Assert.Equal(5120, config.HiddenSize);
        Assert.Equal("dispatcher 2880", rounded[0]);
        Assert.Equal("method 5120", rounded.First(step => step.StartsWith("method", StringComparison.Ordinal)));
    }

    [Fact]
    public void Two_roundings_that_cannot_agree_are_an_error_that_names_both_widths()
    {
        var dispatcher = new Mock<IMoeDispatcher>();
        dispatcher.Setup(d => d.RoundUpHiddenSize(It.IsAny<int>())).Returns<int>(size => (size + 299) / 300 * 300);

        MoeException error = Assert.Throws<MoeException>(
            () => MoeLayerConfig.Create(Shape, Method(256, 256, true, true), new() { Dispatcher = dispatcher.Object }));

        Assert.Equal(MoeReason.Shape, error.Reason);
        Assert.Contains("3072", error.Message, StringComparison.Ordinal);
        Assert.Contains("3300", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false, 3072)]
    [InlineData(true, 2880)]
    public void A_skip_counts_only_where_the_dispatcher_preserves_the_width(bool preserves, int width)
    {
        var dispatcher = new Mock<IMoeDispatcher>();
        dispatcher.Setup(d => d.RoundUpHiddenSize(It.IsAny<int>())).Returns<int>(size => size);
        dispatcher.SetupGet(d => d.PreservesWidth).Returns(preserves);

        MoeLayerConfig config = MoeLayerConfig.Create(Shape, Method(256, 256, true, true), new() { Dispatcher = dispatcher.Object });

        Assert.Equal((width, width), (config.InputWidth, config.OutputWidth));
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
