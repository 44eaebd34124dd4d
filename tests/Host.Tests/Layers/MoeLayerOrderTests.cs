using Moq;

namespace Moe.Plugins.Tests;

/// <summary>The order in which the layer calls a method, and what it asks of one that says nothing about itself.</summary>
public sealed class MoeLayerOrderTests
{
    [Fact]
    public void Sizes_are_asked_before_the_weights_are_made_and_the_weights_get_those_sizes()
    {
        using var memory = new HostMemory();
        var method = new Mock<IMoeQuantMethod>(MockBehavior.Strict);
        var order = new List<string>();
        MoeLayerConfig? seen = null;
        method.Setup(m => m.RoundUpHiddenSize(It.IsAny<int>())).Returns(8).Callback(() => order.Add("hidden"));
        method.Setup(m => m.RoundUpIntermediateSize(It.IsAny<int>())).Returns(4).Callback(() => order.Add("intermediate"));
        method.SetupGet(m => m.SupportsSkipForwardPadding).CallBase();
        method.SetupGet(m => m.HasUnpaddedOutput).CallBase();
        method.SetupGet(m => m.Memory).Returns(memory);
        method.Setup(m => m.CreateWeights(It.IsAny<MoeLayerConfig>(), TinyLayer.Weights, null, TestContext.Current.CancellationToken))
            .Returns(Mock.Of<IMoeWeights>(w => w.ByteCount == 77))
            .Callback((MoeLayerConfig config, MoeWeightSource _, IProgress<double> _, CancellationToken _) =>
            {
                seen = config;
                order.Add("weights");
            });
        method.Setup(m => m.Dispose()).Callback(() => order.Add("dispose"));

        using (MoeLayer layer = MoeLayer.Create(
            method.Object, TinyLayer.Shape, TinyLayer.Weights, TinyLayer.Options, cancellationToken: TestContext.Current.CancellationToken))
        {
            Assert.Same(seen, layer.Config);
            Assert.Equal((8, 4), (layer.Config.HiddenSize, layer.Config.IntermediateSize));
            Assert.True(layer.Config.HostPadsInput);
            Assert.True(layer.Config.HostSlicesOutput);
            Assert.Equal(77, layer.WeightByteCount);
        }

        Assert.Equal(["hidden", "intermediate", "weights", "dispose"], order.Distinct());
        Assert.Equal("weights", order[^2]);
    }

    [Fact]
    public void A_forward_pads_then_runs_then_slices()
    {
        var sequence = new MockSequence();
        var memory = new Mock<IMoeMemory>(MockBehavior.Strict);
        var method = new Mock<IMoeQuantMethod> { CallBase = true };
        using var buffers = new HostMemory();
        memory.SetupGet(m => m.Device).Returns(MoeDevice.Cpu);
        memory.Setup(m => m.Allocate(It.IsAny<long>())).Returns((long bytes) => buffers.Allocate(bytes));
        memory.Setup(m => m.Zero(It.IsAny<nint>(), 4 * 8 * 4, 0));
        memory.Setup(m => m.Synchronize(0));
        method.Setup(m => m.RoundUpHiddenSize(It.IsAny<int>())).Returns(8);
        method.Setup(m => m.RoundUpIntermediateSize(It.IsAny<int>())).Returns(4);
        method.SetupGet(m => m.Memory).Returns(memory.Object);
        var weights = new Mock<IMoeWeights>();
        var workspace = new Mock<IMoeWorkspace>();
        method.Setup(m => m.CreateWeights(It.IsAny<MoeLayerConfig>(), It.IsAny<MoeWeightSource>(), null, default)).Returns(weights.Object);
        weights.Setup(w => w.CreateWorkspace()).Returns(workspace.Object);
        using var input = new Floats(2, 5);
        using var output = new Floats(2, 5);
        memory.InSequence(sequence).Setup(m => m.Copy2D(It.IsAny<nint>(), 32, input.View.Address, 20, 20, 2, 9));
        workspace.InSequence(sequence).Setup(w => w.Forward(It.Is<MoeForwardArguments>(
            a => a.Input.Columns == 8 && a.Output.Columns == 8 && a.RouterInput == input.View && a.Stream == 9)));
        memory.InSequence(sequence).Setup(m => m.Copy2D(output.View.Address, 20, It.IsAny<nint>(), 32, 20, 2, 9));

#pragma warning disable CA2000 // The strict memory frees nothing, and the buffers free themselves.
        MoeLayer layer = MoeLayer.Create(
            method.Object, TinyLayer.Shape, TinyLayer.Weights, TinyLayer.Options, cancellationToken: CancellationToken.None);
        layer.Forward(layer.CreateState(), new MoeLayerCall { Input = input.View, Output = output.View, Stream = 9 });
#pragma warning restore CA2000

        memory.Verify(m => m.Copy2D(It.IsAny<nint>(), It.IsAny<long>(), It.IsAny<nint>(), It.IsAny<long>(), It.IsAny<long>(), It.IsAny<int>(), It.IsAny<nint>()), Times.Exactly(2));
        workspace.Verify(w => w.Forward(It.IsAny<MoeForwardArguments>()), Times.Once);
    }

    [Fact]
    public void A_method_that_says_nothing_is_padded_and_sliced()
    {
        using var memory = new HostMemory();
        IMoeQuantMethod method = new RecordingMethod(memory);
        Assert.False(method.SupportsSkipForwardPadding);
        Assert.False(method.HasUnpaddedOutput);
        var mock = new Mock<IMoeQuantMethod> { CallBase = true };
        Assert.False(mock.Object.SupportsSkipForwardPadding);
        Assert.False(mock.Object.HasUnpaddedOutput);
    }

    [Fact]
    public void Wrong_weights_never_reach_the_method()
    {
        var method = new Mock<IMoeQuantMethod>();
        method.Setup(m => m.RoundUpHiddenSize(It.IsAny<int>())).Returns(8);
        method.Setup(m => m.RoundUpIntermediateSize(It.IsAny<int>())).Returns(4);
        MoeException error = Assert.Throws<MoeException>(() => MoeLayer.Create(
            method.Object, TinyLayer.Shape with { IntermediateSize = 4 }, TinyLayer.Weights, TinyLayer.Options, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Equal(MoeReason.Checkpoint, error.Reason);
        method.Verify(m => m.RoundUpHiddenSize(It.IsAny<int>()));
        method.Verify(
            m => m.CreateWeights(It.IsAny<MoeLayerConfig>(), It.IsAny<MoeWeightSource>(), It.IsAny<IProgress<double>>(), It.IsAny<CancellationToken>()),
            Times.Never);
    }
}
