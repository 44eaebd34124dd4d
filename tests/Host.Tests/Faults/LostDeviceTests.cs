using Microsoft.Extensions.Logging.Abstractions;

namespace Moe.Plugins.Tests;

/// <summary>A device whose context is lost takes its own layers with it, and no others.</summary>
public sealed class LostDeviceTests : IDisposable
{
    private const string Because = "an illegal address was used";

    private readonly List<IDisposable> _owned = [];

    /// <summary>Runs while a layer's weights are made.</summary>
    private Action? _whileMaking;

    [Fact]
    public async Task The_layers_of_the_device_are_marked_and_those_of_another_go_on()
    {
        await using MoeHost host = Host();
        using MoeLayer first = Make(host, 0);
        using MoeLayer second = Make(host, 0);
        using MoeLayer elsewhere = Make(host, 1);

        MoePluginException lost = Assert.Throws<MoePluginException>(() => Run(first, tokens: 2));

        Assert.Equal(MoeReason.ContextLost, lost.Reason);
        Assert.Contains("The context of cuda:0 is lost", first.Failure!.Message, StringComparison.Ordinal);
        Assert.Contains("only a restart of the process recovers it", first.Failure.Message, StringComparison.Ordinal);
        Assert.Contains(Because, first.Failure.Message, StringComparison.Ordinal);
        Assert.Equal(first.Failure.Message, second.Failure!.Message);
        Assert.Contains(first.Failure.Message, Assert.Throws<MoeException>(() => Run(second, tokens: 1)).Message, StringComparison.Ordinal);

        Assert.Null(elsewhere.Failure);
        Run(elsewhere, tokens: 1);
        Assert.Equal([first.Failure.Message], host.LostDevices);
    }

    [Fact]
    public async Task A_layer_that_is_asked_for_later_is_refused_with_the_same_words_and_made_on_another_device()
    {
        await using MoeHost host = Host();
        using MoeLayer first = Make(host, 0);
        Assert.Throws<MoePluginException>(() => Run(first, tokens: 2));

        MoeSelectionException refused = Assert.Throws<MoeSelectionException>(() => Make(host, 0));

        Assert.Equal(MoeReason.ContextLost, refused.Reason);
        Assert.Contains(first.Failure!.Message, refused.Message, StringComparison.Ordinal);
        using MoeLayer elsewhere = Make(host, 1);
        Run(elsewhere, tokens: 1);
    }

    [Fact]
    public async Task A_layer_that_is_being_made_when_its_device_is_lost_is_marked_too()
    {
        await using MoeHost host = Host();
        using MoeLayer first = Make(host, 0);
        _whileMaking = () => Assert.Throws<MoePluginException>(() => Run(first, tokens: 2));

        using MoeLayer late = Make(host, 0);

        Assert.Equal(first.Failure!.Message, late.Failure!.Message);
    }

    public void Dispose() => _owned.ForEach(owned => owned.Dispose());

    private static MoeLayer Make(MoeHost host, int ordinal) => host.CreateLayer(
        TinyLayer.Request with { Device = MoeDevice.Cuda(ordinal) }, TinyLayer.Weights, cancellationToken: TestContext.Current.CancellationToken);

    private static void Run(MoeLayer layer, int tokens)
    {
        using MoeForwardState state = layer.CreateState();
        using var input = new Floats(tokens, 5);
        using var output = new Floats(tokens, 5);
        layer.Forward(state, new MoeLayerCall { Input = On(layer.Device, input.View), Output = On(layer.Device, output.View) });
    }

    private static MoeTensorView On(MoeDevice device, MoeTensorView view) =>
        new(view.Address, device, view.ElementType, view.Rows, view.Columns, view.RowStride);

    private MoeHost Host() => MoeHost.Create(
        new MoeOptions(), NullLoggerFactory.Instance, [_ => new CompiledInPlugins([new CompiledInPlugin("Gpu", "1.0.0", MoeContract.Version, () => new TwoDevices(this))])]);

    /// <summary>A backend with two devices, in host memory; more than one token ends the context of the device.</summary>
    private sealed class TwoDevices(LostDeviceTests test) : IMoePlugin, IMoeBackend
    {
        public IMoeBackend CreateBackend(IMoePluginContext context) => this;

        public MoeProbeResult Probe(MoeProbeRequest request) => MoeProbeResult.Supported(request.Device!.Value, "fake", 1);

        public IMoeQuantMethod CreateQuantMethod(MoeProbeRequest request)
        {
            var memory = new HostMemory { Device = request.Device!.Value };
            test._owned.Add(memory);
            RecordingMethod? method = null;
            method = new RecordingMethod(memory)
            {
                DuringWeights = test._whileMaking,
                DuringForward = () =>
                {
                    if (method!.Last.Input.Rows > 1)
                    {
                        throw new MoeException(MoeReason.ContextLost, Because);
                    }
                },
            };
            return method;
        }

        public ValueTask DisposeAsync() => default;
    }
}
