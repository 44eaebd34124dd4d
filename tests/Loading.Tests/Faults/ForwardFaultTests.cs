namespace Moe.Plugins.Tests;

/// <summary>A backend that fails in a forward says which it is, and the layer says what is left of it.</summary>
public sealed class ForwardFaultTests
{
    [Theory]
    [InlineData("memory", MoeReason.OutOfMemory)]
    [InlineData("other", MoeReason.Threw)]
    public async Task A_forward_that_fails_names_the_plugin_and_leaves_the_layer_usable(string fault, MoeReason reason)
    {
        using var folder = new WorkingFolder();
        await using MoeHost host = Load(folder, fault);
        using MoeLayer layer = WorkingFolder.CreateLayer(host);

        MoePluginException exception = Assert.Throws<MoePluginException>(() => Fail(layer));
        Assert.Equal(("Working", "0.1.0", reason), (exception.PluginId, exception.PluginVersion, exception.Reason));
        Assert.StartsWith("Plugin Working 0.1.0 failed while running a forward, whose output is not to be used: ", exception.Message, StringComparison.Ordinal);
        Assert.Null(layer.Failure);
        Assert.Equal(1, WorkingFolder.Run(layer));
    }

    [Fact]
    public async Task A_lost_context_fails_every_layer_on_the_device_and_says_the_cure()
    {
        using var folder = new WorkingFolder();
        await using MoeHost host = Load(folder, "lost");
        using MoeLayer first = WorkingFolder.CreateLayer(host);
        using MoeLayer second = WorkingFolder.CreateLayer(host);

        MoePluginException lost = Assert.Throws<MoePluginException>(() => Fail(first));
        Assert.Equal(MoeReason.ContextLost, lost.Reason);
        Assert.Same(lost, first.Failure!.InnerException);
        Assert.Contains("only a restart of the process recovers it", first.Failure.Message, StringComparison.Ordinal);
        Assert.Equal(first.Failure.Message, second.Failure!.Message);

        // No backend is called any more: one row would have done no harm.
        MoeException again = Assert.Throws<MoeException>(() => WorkingFolder.Run(second));
        Assert.Equal(MoeReason.ContextLost, again.Reason);
        MoeSelectionReport report = host.Explain(TinyLayer.Request);
        Assert.Null(report.Selected);
        Assert.Equal(MoeReason.ContextLost, Assert.Single(report.Candidates).Reason);
        Assert.Throws<MoeSelectionException>(() => WorkingFolder.CreateLayer(host));
    }

    [Fact]
    public async Task A_context_that_is_found_lost_while_waiting_counts_too()
    {
        using var folder = new WorkingFolder();
        await using MoeHost host = Load(folder, "lost-later");
        using MoeLayer first = WorkingFolder.CreateLayer(host);
        using MoeLayer second = WorkingFolder.CreateLayer(host);
        Assert.Equal(1, WorkingFolder.Run(first));
        Assert.Equal(MoeReason.ContextLost, Assert.Throws<MoePluginException>(() => first.Synchronize()).Reason);
        Assert.NotNull(second.Failure);
    }

    [Fact]
    public void Without_a_host_the_exception_is_the_methods_own_and_only_its_layer_fails()
    {
        using var memory = new HostMemory();
        var thrown = new MoeException(MoeReason.ContextLost, "gone");
        using var method = new RecordingMethod(memory) { DuringForward = () => throw thrown };
        using var layer = MoeLayer.Create(method, TinyLayer.Shape, TinyLayer.Weights, TinyLayer.Options, cancellationToken: TestContext.Current.CancellationToken);
        Assert.Same(thrown, Assert.Throws<MoeException>(() => WorkingFolder.Run(layer)));
        Assert.Same(thrown, layer.Failure);
    }

    private static MoeHost Load(WorkingFolder folder, string fault)
    {
        MoeOptions options = folder.Drop.Options;
        options.Plugins["Working"] = new Dictionary<string, string> { ["forward"] = fault };
        return MoeHost.Create(options);
    }

    [Fact]
    public async Task A_state_in_which_a_forward_failed_is_not_used_again()
    {
        using var folder = new WorkingFolder();
        await using MoeHost host = Load(folder, "other");
        using MoeLayer layer = WorkingFolder.CreateLayer(host);
        using MoeForwardState state = layer.CreateState();
        using var input = new Floats(2, 5);
        using var output = new Floats(2, 5);
        var two = new MoeLayerCall { Input = input.View, Output = output.View };
        var one = new MoeLayerCall { Input = input.View.FirstRows(1), Output = output.View.FirstRows(1) };
        layer.Forward(state, one);
        Assert.Throws<MoePluginException>(() => layer.Forward(state, two));
        InvalidOperationException again = Assert.Throws<InvalidOperationException>(() => layer.Forward(state, one));
        Assert.Contains("the fixture's kernel is broken", again.Message, StringComparison.Ordinal);
        Assert.Equal(1, WorkingFolder.Run(layer));
    }

    // The fixture fails at forwards of more than one token, so that a test can see whether one of a single token still runs.
    private static void Fail(MoeLayer layer)
    {
        using MoeForwardState state = layer.CreateState();
        using var input = new Floats(2, 5);
        using var output = new Floats(2, 5);
        layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View });
    }
}
