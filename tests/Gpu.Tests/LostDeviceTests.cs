using Moe.Plugins.Conformance;
using Moe.Plugins.Cuda;

namespace Moe.Plugins.Tests;

/// <summary>
/// A kernel of somebody else's loses the context that all share: every backend's layers on the device say so with the cure, whatever touches them
/// first, and those on the processor go on. Each in a process of its own, which is lost with its context.
/// </summary>
[Collection(Alone.Name)]
public sealed class LostDeviceTests
{
    private static readonly string[] Backends = ["Bf16", "Mxfp4.Marlin", "Mxfp4.Sm100"];

    [Theory]
    [InlineData("Bf16", "forward")]
    [InlineData("Mxfp4.Marlin", "forward")]
    [InlineData("Mxfp4.Sm100", "forward")]
    [InlineData("Mxfp4.Marlin", "state")]
    [InlineData("Mxfp4.Marlin", "allocate")]
    [InlineData("Mxfp4.Marlin", "copy")]
    [InlineData("Mxfp4.Marlin", "wait")]
    [InlineData("Mxfp4.Marlin", "layer")]
    public async Task Whoever_touches_it_first_every_layer_on_it_says_that_it_is_lost_and_the_cure(string backend, string touch)
    {
        if (OwnProcess.Told is null)
        {
            Gpu.Require().Dispose();
            await OwnProcess.RunAsync(nameof(Whoever_touches_it_first_every_layer_on_it_says_that_it_is_lost_and_the_cure), $"{backend} {touch}");
        }
        else if (OwnProcess.Told == $"{backend} {touch}")
        {
            // The inner process runs them all, and has a device only for the one that it is told.
            Meet(backend, touch);
        }
    }

    private static void Meet(string first, string touch)
    {
        using CudaContext context = Gpu.Require();
        using var weights = new RandomLayer(new MoeLayerShape { HiddenSize = 256, IntermediateSize = 256, ExpertCount = 8, TopK = 2 }, seed: 1);
        var options = new MoeOptions();
        options.Layers["cpu"] = "Cpu";
        foreach (string backend in Backends)
        {
            options.Layers[backend] = backend;
        }

        using MoeHost host = MoeHost.Create(options);
        DeviceLayer[] layers = [.. Backends.Select(backend => new DeviceLayer(host, weights, backend))];
        using var cpu = new DeviceLayer(host, weights, "cpu");
        float[] right = cpu.Run();
        Assert.All(layers, layer => Assert.Contains(layer.Run(), static value => value != 0));

        Gpu.Lose(context);

        DeviceLayer touched = layers[Array.IndexOf(Backends, first)];
        MoeException lost = Assert.ThrowsAny<MoeException>(() => Touch(touch, touched, host, weights));
        Assert.Equal(MoeReason.ContextLost, lost.Reason);
        Assert.Contains("CUDA_ERROR_ILLEGAL_ADDRESS", lost.ToString(), StringComparison.Ordinal);
        Assert.All(layers, layer => Assert.Equal(MoeReason.ContextLost, Assert.ThrowsAny<MoeException>(() => layer.Run()).Reason));
        foreach (DeviceLayer layer in layers)
        {
            const string Cure = "The context of cuda:0 is lost, and with it every layer on it; only a restart of the process recovers it.";
            Assert.Contains(Cure, layer.Layer.Failure!.Message, StringComparison.Ordinal);
            Assert.Contains(Cure, Assert.Throws<MoeException>(() => layer.Run()).Message, StringComparison.Ordinal);
        }

        Assert.Single(host.LostDevices);
        Assert.Equal(right, cpu.Run());
        Assert.Equal(MoeReason.ContextLost, Assert.Throws<MoeSelectionException>(() => Make(host, weights, first)).Reason);
        using MoeLayer elsewhere = Make(host, weights, "any other");
        Assert.Equal(MoeDevice.Cpu, elsewhere.Device);

        // Nothing throws at being freed.
        Array.ForEach(layers, static layer => layer.Dispose());
    }

    private static void Touch(string touch, DeviceLayer layer, MoeHost host, RandomLayer weights)
    {
        switch (touch)
        {
            case "forward":
                layer.Run();
                break;
            case "state":
                layer.Layer.CreateState();
                break;
            case "allocate":
                layer.Layer.Memory.Allocate(1 << 20);
                break;
            case "copy":
                layer.CopyIn();
                break;
            case "wait":
                layer.Layer.Synchronize(layer.Stream);
                break;
            default:
                // What fails at loading, falls to nobody: the backend is named.
                Make(host, weights, "Mxfp4.Marlin");
                break;
        }
    }

    private static MoeLayer Make(MoeHost host, RandomLayer weights, string name) =>
        host.CreateLayer(new MoeLayerRequest { Name = name, Shape = weights.Shape, Options = new MoeLayerOptions { MaxTokens = 1 } }, weights.Source);
}
