using Moq;

namespace Moe.Plugins.Tests;

/// <summary>An application's own tests need no backend: what it is injected with can be mocked.</summary>
public sealed class MockingTests
{
    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_application_runs_on_a_mocked_host()
    {
        using MoeBuffer input = MoeBuffer.OnHost(MoeElementType.Float32, 1, 2);
        using MoeBuffer output = MoeBuffer.OnHost(MoeElementType.Float32, 1, 2);
        var layer = new Mock<IMoeLayer>();
        layer.Setup(mock => mock.CreateState()).Returns(Mock.Of<IMoeForwardState>());
        layer.Setup(mock => mock.Forward(It.IsAny<IMoeForwardState>(), It.IsAny<MoeLayerCall>())).Callback(() => output.CopyFrom([3f, 4f]));
        var host = new Mock<IMoeHost>();
        host.Setup(mock => mock.CreateLayerAsync(It.IsAny<MoeLayerRequest>(), It.IsAny<MoeWeightSource>(), null, Token)).ReturnsAsync(layer.Object);

        // What an application does.
        using IMoeLayer made = await host.Object.CreateLayerAsync(TinyLayer.Request, TinyLayer.Weights, cancellationToken: Token);
        using IMoeForwardState state = made.CreateState();
        made.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View });

        Assert.Equal([3f, 4f], output.ToSingles());
    }

    [Fact]
    public async Task The_host_makes_layers_behind_the_interface_and_off_the_callers_thread()
    {
        Thread? maker = null;
        CompiledInPlugin plugin = new FakeBackend
        {
            Method = () =>
            {
                maker = Thread.CurrentThread;
                return new RecordingMethod(new HostMemory());
            },
        }.As("Fake");
        await using MoeHost made = MoeHost.Create(new MoeOptions(), null, [_ => new CompiledInPlugins([plugin])]);
        IMoeHost host = made;

        Task<IMoeLayer>? task = null;
        var caller = new Thread(() => task = host.CreateLayerAsync(TinyLayer.Request, TinyLayer.Weights, cancellationToken: Token));
        caller.Start();
        caller.Join();
        using IMoeLayer layer = await task!;

        Assert.NotNull(maker);
        Assert.NotSame(caller, maker);
        using var input = new Floats(3, 5);
        using var output = new Floats(3, 5);
        using IMoeForwardState state = layer.CreateState();
        layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View });
        Assert.Throws<ArgumentException>(() => layer.Forward(Mock.Of<IMoeForwardState>(), new MoeLayerCall { Input = input.View, Output = output.View }));
    }

    [Fact]
    public async Task A_load_that_is_cancelled_before_it_began_makes_no_layer()
    {
        await using MoeHost host = MoeHost.Create(new MoeOptions(), null, [_ => new CompiledInPlugins([FakeBackend.Scoring("Fake", 1)])]);

        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => host.CreateLayerAsync(TinyLayer.Request, TinyLayer.Weights, cancellationToken: new CancellationToken(canceled: true)));
        Assert.Empty(host.Selections);
    }
}
