using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.Logging;

namespace Moe.Plugins.Tests;

/// <summary>Which backend is chosen, and what is said about it.</summary>
public sealed class SelectionTests : IDisposable
{
    private readonly ListLog _log = new();

    [Fact]
    public async Task Auto_takes_the_configured_order_then_the_score_then_the_id()
    {
        CompiledInPlugin[] plugins = [FakeBackend.Scoring("b", 5), FakeBackend.Scoring("A", 5), FakeBackend.Scoring("z", 9), FakeBackend.Scoring("last", 1)];
        foreach (IEnumerable<CompiledInPlugin> found in (IEnumerable<CompiledInPlugin>[])[plugins, plugins.Reverse()])
        {
            await using MoeHost host = Host(new MoeOptions { Order = ["LAST"] }, [.. found]);
            MoeSelectionReport report = host.Explain(TinyLayer.Request);
            Assert.Equal(["last", "z", "A", "b"], report.Candidates.Select(c => c.Id));
            Assert.Equal(MoeCandidateState.Selected, report.Candidates[0].State);
            Assert.All(report.Candidates.Skip(1), c => Assert.Equal(MoeCandidateState.Eligible, c.State));
            Assert.False(report.IsFallback);
        }
    }

    [Fact]
    public async Task A_named_backend_that_cannot_run_is_an_error_that_lists_everything()
    {
        await using MoeHost host = Host(
            new MoeOptions { Backend = "gpu", Fallback = MoeFallback.Allow }, FakeBackend.Refusing("Gpu", MoeReason.DriverTooOld), FakeBackend.Scoring("cpu", 5));

        MoeSelectionException error = Assert.Throws<MoeSelectionException>(() => host.CreateLayer(TinyLayer.Request, TinyLayer.Weights, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Equal(MoeReason.DriverTooOld, error.Reason);
        Assert.Equal(
            "Backend Gpu, which MoeOptions.Backend names, cannot run model.layers.3.mlp (Rejected, DriverTooOld): Gpu has its reasons",
            error.Report.Sentence);
        Assert.Contains("cpu 1.2.3: Eligible, on cpu (fake), score 5", error.Message, StringComparison.Ordinal);
        Assert.Null(error.Report.Selected);
    }

    [Fact]
    public async Task A_refusing_backend_still_tells_its_sizes()
    {
        await using MoeHost host = Host(new MoeOptions(), FakeBackend.Refusing("Gpu"));
        MoeCandidate candidate = Assert.Single(host.Explain(TinyLayer.Request).Candidates);
        Assert.Equal((8, 4, false, false), (candidate.HiddenSize, candidate.IntermediateSize, candidate.SupportsSkipForwardPadding, candidate.HasUnpaddedOutput));
        Assert.Null(candidate.Score);
    }

    [Fact]
    public async Task An_unknown_name_asks_whether_another_was_meant()
    {
        var options = new MoeOptions { Backend = "Mxfp4.Marlni", Order = ["Cpuu"] };
        options.Layers["*"] = "marlin";
        await using MoeHost host = MoeHost.Create(
            options, _log, [_ => new CompiledInPlugins([FakeBackend.Scoring("Mxfp4.Marlin", 5), FakeBackend.Scoring("Cpu", 1)]), _ => new EmptyFolder()]);

        string sentence = host.Explain(TinyLayer.Request with { Backend = "Mxfp4.Marlni" }).Sentence;
        Assert.Equal(
            $"the request names the backend 'Mxfp4.Marlni', which was not found. Did you mean 'Mxfp4.Marlin'? Found: Cpu, Mxfp4.Marlin. Looked in: {EmptyFolder.Path}.",
            sentence);
        Assert.Contains(_log.Lines, l => l.Id == 3 && l.Text.StartsWith("MoeOptions.Backend names the backend 'Mxfp4.Marlni'", StringComparison.Ordinal));
        Assert.Contains(_log.Lines, l => l.Id == 3 && l.Text.StartsWith("MoeOptions.Layers:* names the backend 'marlin'", StringComparison.Ordinal) && l.Text.Contains("Did you mean 'Mxfp4.Marlin'?", StringComparison.Ordinal));
        Assert.Contains(_log.Lines, l => l.Id == 4 && l.Text.Contains("Did you mean 'Cpu'?", StringComparison.Ordinal));
        Assert.DoesNotContain("Did you mean", host.Explain(TinyLayer.Request with { Backend = "quantum" }).Sentence, StringComparison.Ordinal);
        Assert.Equal([.. _log.Lines.Where(l => l.Id == 3).Select(l => l.Text)], host.UnknownBackends);
    }

    [Fact]
    public async Task Who_names_a_backend_for_a_request_is_said()
    {
        await using MoeHost host = Host(new MoeOptions(), FakeBackend.Refusing("Gpu"));
        MoeLayerRequest request = TinyLayer.Request with { NamedBy = "--backend" };

        string refused = host.Explain(request with { Backend = "Gpu" }).Sentence;
        string unknown = host.Explain(request with { Backend = "Gpux" }).Sentence;

        Assert.StartsWith("Backend Gpu, which --backend names, cannot run ", refused, StringComparison.Ordinal);
        Assert.StartsWith("--backend names the backend 'Gpux', which was not found. ", unknown, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_unknown_name_is_said_by_the_key_that_has_it()
    {
        IConfiguration configuration = new ConfigurationBuilder()
            .AddInMemoryCollection([new("Spare:Backend", "quantum"), new("Spare:Order:0", "gluon"), new("Spare:Layers:*.9.mlp", "quark")])
            .Build();
        await using MoeHost host = Host(MoeOptions.From(configuration.GetSection("Spare")), FakeBackend.Scoring("Cpu", 1));

        Assert.StartsWith("Spare:Backend names the backend 'quantum'", host.Explain(TinyLayer.Request).Sentence, StringComparison.Ordinal);
        Assert.StartsWith("Spare:Layers:*.9.mlp names the backend 'quark'", host.Explain(TinyLayer.Request with { Name = "model.layers.9.mlp" }).Sentence, StringComparison.Ordinal);
        foreach (string key in (string[])["Spare:Backend", "Spare:Order", "Spare:Layers:*.9.mlp"])
        {
            Assert.Contains(_log.Lines, line => line.Text.StartsWith($"{key} names the backend", StringComparison.Ordinal));
        }
    }

    [Theory]
    [InlineData("model.layers.3.mlp", "exact")]
    [InlineData("model.layers.4.mlp", "digit")]
    [InlineData("model.layers.14.mlp", "prefix")]
    [InlineData("lm_head", "rest")]
    public async Task The_most_specific_pattern_counts(string layer, string expected)
    {
        var options = new MoeOptions { Backend = "rest" };
        options.Layers["*"] = "rest";
        options.Layers["model.*"] = "prefix";
        options.Layers["model.layers.?.mlp"] = "digit";
        options.Layers["model.layers.3.mlp"] = "exact";
        await using MoeHost host = Host(options, [.. ((string[])["exact", "digit", "prefix", "rest"]).Select(id => FakeBackend.Scoring(id, 1))]);
        Assert.Equal(expected, host.Explain(TinyLayer.Request with { Name = layer }).Selected!.Id);
        Assert.Equal("rest", host.Explain(TinyLayer.Request with { Name = layer, Backend = "rest" }).Selected!.Id);
    }

    [Theory]
    [InlineData(MoeFallback.Allow, LogLevel.Information, 5)]
    [InlineData(MoeFallback.Warn, LogLevel.Warning, 6)]
    public async Task A_backend_that_fails_at_the_weights_is_followed_by_the_next(MoeFallback fallback, LogLevel level, int id)
    {
        await using MoeHost host = Host(
            new MoeOptions { Fallback = fallback },
            FakeBackend.FailingAtWeights("Gpu", 200, new MoeException(MoeReason.OutOfMemory, "12 GB are wanted")),
            FakeBackend.Scoring("Cpu", 1));
        using MoeLayer layer = host.CreateLayer(TinyLayer.Request, TinyLayer.Weights, cancellationToken: TestContext.Current.CancellationToken);

        Assert.Equal(1000, layer.WeightByteCount);
        (LogLevel Level, int Id, string Text) line = _log.Lines.Single(l => l.Id is 5 or 6);
        Assert.Equal((level, id), (line.Level, line.Id));
        Assert.EndsWith("Cpu 1.2.3 on cpu (fake) runs model.layers.3.mlp, score 1: Gpu could not be had.", line.Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Forbid_makes_a_fallback_an_error()
    {
        var options = new MoeOptions { Fallback = MoeFallback.Forbid };
        await using MoeHost host = Host(
            options,
            FakeBackend.FailingAtWeights("Gpu", 200, new MoeException(MoeReason.OutOfMemory, "12 GB are wanted")),
            FakeBackend.Scoring("Cpu", 1));
        MoeSelectionException error = Assert.Throws<MoeSelectionException>(() => host.CreateLayer(TinyLayer.Request, TinyLayer.Weights, cancellationToken: TestContext.Current.CancellationToken));

        Assert.Equal(MoeReason.OutOfMemory, error.Reason);
        Assert.Contains("MoeOptions.Fallback forbids to fall back to Cpu", error.Report.Sentence, StringComparison.Ordinal);
        MoePluginException cause = Assert.IsType<MoePluginException>(error.InnerException);
        Assert.Equal(("Gpu", "1.2.3"), (cause.PluginId, cause.PluginVersion));
        Assert.Equal("Plugin Gpu 1.2.3 failed while making the layer's weights: 12 GB are wanted", cause.Message);
    }

    [Theory]
    [InlineData(MoeFallback.Warn, true)]
    [InlineData(MoeFallback.Forbid, false)]
    public async Task An_entry_of_the_order_that_is_passed_over_is_a_fallback(MoeFallback fallback, bool runs)
    {
        await using MoeHost host = Host(
            new MoeOptions { Fallback = fallback, Order = ["Gpu", "Cpu"] }, FakeBackend.Refusing("Gpu"), FakeBackend.Scoring("Cpu", 1));
        MoeSelectionReport report = host.Explain(TinyLayer.Request);
        Assert.True(report.IsFallback);
        Assert.Equal(runs ? "Cpu" : null, report.Selected?.Id);
        Assert.Equal(runs ? MoeReason.None : MoeReason.NoDevice, report.Reason);
    }

    [Fact]
    public async Task A_named_backend_that_fails_at_the_weights_is_never_replaced()
    {
        await using MoeHost host = Host(
            new MoeOptions { Backend = "Gpu", Fallback = MoeFallback.Allow },
            FakeBackend.FailingAtWeights("Gpu", 200, new InvalidTimeZoneException("of the plugin")),
            FakeBackend.Scoring("Cpu", 1));
        MoeSelectionException error = Assert.Throws<MoeSelectionException>(() => host.CreateLayer(TinyLayer.Request, TinyLayer.Weights, cancellationToken: TestContext.Current.CancellationToken));
        Assert.Equal(MoeReason.Threw, error.Reason);
        Assert.IsType<InvalidTimeZoneException>(error.InnerException!.InnerException);
    }

    [Fact]
    public async Task Wrong_weights_and_cancelling_are_not_the_backends_fault()
    {
        await using MoeHost host = Host(new MoeOptions(), FakeBackend.Scoring("One", 2), FakeBackend.Scoring("Two", 1));
        MoeLayerRequest other = TinyLayer.Request with { Shape = TinyLayer.Shape with { HiddenSize = 6 } };
        Assert.Equal(MoeReason.Checkpoint, Assert.Throws<MoeException>(() => host.CreateLayer(other, TinyLayer.Weights, cancellationToken: TestContext.Current.CancellationToken)).Reason);
        Assert.Throws<OperationCanceledException>(() => host.CreateLayer(TinyLayer.Request, TinyLayer.Weights, cancellationToken: new CancellationToken(canceled: true)));
    }

    [Fact]
    public async Task A_probe_that_throws_or_breaks_the_contract_is_reported_and_passed_over()
    {
        await using MoeHost host = Host(
            new MoeOptions(),
            new FakeBackend { Answer = _ => throw new InvalidTimeZoneException("in the probe") }.As("Throws"),
            new FakeBackend { Answer = _ => null! }.As("Null"),
            new FakeBackend { Method = () => Moq.Mock.Of<IMoeQuantMethod>() }.As("RoundsDown"),
            FakeBackend.Scoring("Good", 1));
        MoeSelectionReport report = host.Explain(TinyLayer.Request);
        Assert.Equal("Good", report.Selected!.Id);
        Assert.Equal(
            ["Null ContractBroken", "RoundsDown ContractBroken", "Throws Threw"],
            report.Candidates.Where(c => c.State == MoeCandidateState.Failed).Select(c => $"{c.Id} {c.Reason}"));
    }

    [Fact]
    public async Task The_device_of_the_options_and_of_the_request_reaches_the_probe()
    {
        MoeDevice? asked = null;
        var backend = new FakeBackend
        {
            Answer = request =>
            {
                asked = request.Device;
                return MoeProbeResult.Supported(MoeDevice.Cpu, "fake", 1);
            },
        };
        await using MoeHost host = Host(new MoeOptions { Device = "cuda:3" }, backend.As("Any"));
        host.Explain(TinyLayer.Request);
        Assert.Equal(MoeDevice.Cuda(3), asked);
        host.Explain(TinyLayer.Request with { Device = MoeDevice.Cuda(1) });
        Assert.Equal(MoeDevice.Cuda(1), asked);
    }

    [Fact]
    public async Task A_disposed_host_has_disposed_its_layers_before_its_backends()
    {
        using var memory = new HostMemory();
        var method = new RecordingMethod(memory);
        var backend = new FakeBackend { Method = () => method };
        MoeHost host = Host(new MoeOptions(), backend.As("Any"));
        host.CreateLayer(TinyLayer.Request, TinyLayer.Weights, cancellationToken: TestContext.Current.CancellationToken).CreateState();
        await host.DisposeAsync();
        Assert.True(method.IsDisposed);
        Assert.True(backend.IsDisposed);
        Assert.Equal(0, memory.BlockCount);
        Assert.Throws<ObjectDisposedException>(() => host.Explain(TinyLayer.Request));
    }

    [Fact]
    public void A_host_without_a_backend_says_at_start_what_to_add()
    {
        using (MoeHost.Create(new MoeOptions(), _log, [_ => new EmptyFolder()]))
        {
            (_, int id, string text) = Assert.Single(_log.Lines, line => line.Level == LogLevel.Error);
            Assert.Equal(16, id);
            Assert.Contains(EmptyFolder.Path, text, StringComparison.Ordinal);
            Assert.Contains("Moe.Plugins.Backends.Cpu", text, StringComparison.Ordinal);
        }
    }

    public void Dispose() => _log.Dispose();

    private MoeHost Host(MoeOptions options, params CompiledInPlugin[] plugins) => MoeHost.Create(options, _log, [_ => new CompiledInPlugins(plugins)]);

    private sealed class EmptyFolder : IPluginSource
    {
        public const string Path = "/opt/plugins";

        public IReadOnlyList<string> Folders => [Path];

        public IReadOnlyList<PluginRecord> Load(IReadOnlyList<PluginRecord> before) => [];

        public PluginFile? Find(string name) => null;

        public IEnumerable<PluginFile> FindChanged() => [];

        public PluginRecord? Reload(PluginFile file, PluginRecord? old, IReadOnlyList<PluginRecord> current) => null;
    }
}
