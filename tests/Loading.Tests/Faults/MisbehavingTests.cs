using Microsoft.Extensions.Logging;

namespace Moe.Plugins.Tests;

/// <summary>Whatever one plugin does short of ending the process, the host says what it was and goes on serving others.</summary>
public sealed class MisbehavingTests : IAsyncDisposable
{
    private static readonly string[] Ways =
    [
        "unreadable", "silent", "textless", "inner", "cancel", "task", "aggregate", "argument", "reference", "disposed", "reason", "throw", "cursor", "long",
        "traceless", "deep", "deeper", "once", "once-inner", "once-value", "many-texts",
    ];

    private readonly WorkingFolder _folder = new();
    private readonly StringLog _log = new();
    private readonly MoeHost _serving;
    private readonly MoeLayer _layer;

    public MisbehavingTests()
    {
        _serving = _folder.Drop.Load();
        _layer = WorkingFolder.CreateLayer(_serving);
        _folder.Drop.With("Misbehaving");
    }

    /// <summary>Every place at which the plugin's code runs, with every way to fail there.</summary>
    public static TheoryData<string> Places =>
    [
        "create", "probe", "method", "round", "capability", "memory", "device", "weights", "weights-size", "weights-end", "remark", "workspace",
        "workspace-size", "workspace-end", "allocate", "zero", "copy", "forward", "wait", "free", "end", "dispose",
    ];

    [Theory]
    [MemberData(nameof(Places))]
    public async Task What_is_thrown_anywhere_is_said_and_harms_nobody(string place)
    {
        if (place is "create" or "dispose")
        {
            foreach (string way in Ways)
            {
                await Meet($"{place}:{way}");
            }

            return;
        }

        // One host meets all of them, one after the other.
        string key = $"misbehaving {place}";
        MoeOptions options = Options("");
        options.Plugins["Misbehaving"] = new Dictionary<string, string> { ["switch"] = key };
        await using MoeHost host = MoeHost.Create(options, _log);
        foreach (string way in Ways)
        {
            AppContext.SetData(key, $"{place}:{way}");
            Meet(host);
        }

        AppContext.SetData(key, "");
    }

    [Theory]
    [InlineData("create:null")]
    [InlineData("create:log")]
    [InlineData("create:files")]
    [InlineData("create:hang")]
    [InlineData("probe:null")]
    [InlineData("probe:nulltexts")]
    [InlineData("probe:nullrefusal")]
    [InlineData("probe:cursor")]
    [InlineData("probe:cursorrefusal")]
    [InlineData("create:huge")]
    [InlineData("probe:huge")]
    [InlineData("probe:hugerefusal")]
    [InlineData("probe:least")]
    [InlineData("weights-size:most")]
    [InlineData("workspace-size:most")]
    [InlineData("remark:escape")]
    [InlineData("remark:huge")]
    [InlineData("equals:throw")]
    [InlineData("dispose:task")]
    [InlineData("dispose:source")]
    [InlineData("dispose:lies")]
    [InlineData("probe:interrupt")]
    [InlineData("probe:reason")]
    [InlineData("probe:device")]
    [InlineData("probe:hang")]
    [InlineData("method:null")]
    [InlineData("round:negative")]
    [InlineData("round:zero")]
    [InlineData("round:least")]
    [InlineData("round:most")]
    [InlineData("round:most2")]
    [InlineData("round:drift")]
    [InlineData("round:hang")]
    [InlineData("numerics:null")]
    [InlineData("memory:null")]
    [InlineData("memory:nowhere")]
    [InlineData("weights:null")]
    [InlineData("weights-size:negative")]
    [InlineData("workspace:null")]
    [InlineData("capability:pad")]
    [InlineData("dispose:never")]
    [InlineData("dispose:hang")]
    public async Task What_is_answered_anywhere_is_said_and_harms_nobody(string mode) => await Meet(mode);

    // Side by side: each waits for a text that never comes.
    [Fact]
    public async Task What_never_says_what_it_is_harms_nobody() =>
        await Parallel.ForEachAsync((string[])["create", "forward", "dispose"], async (place, _) => await Meet($"{place}:endless"));

    /// <summary>The plugin's exception is asked what it is once, and whatever holds it afterwards has the text.</summary>
    [Theory]
    [InlineData("once", "OnceException: said once")]
    [InlineData("once-value", "shown once")]
    [InlineData("many-texts", "ManyTextsException: telling 1")]
    [InlineData("once-inner", "around it")]
    [InlineData("unreadable", "UnreadableException: its message cannot be read")]
    [InlineData("endless", "EndlessException: its message does not come")]
    public async Task An_exception_is_asked_once_and_its_text_is_kept(string way, string said)
    {
        await using MoeHost host = MoeHost.Create(Options($"forward:{way}"), _log);
        using MoeLayer layer = WorkingFolder.CreateLayer(host);
        using MoeForwardState state = layer.CreateState();

        MoePluginException thrown = Assert.Throws<MoePluginException>(() => Forward(layer, state));

        string whole = thrown.ToString();
        Assert.Contains(said, thrown.Message, StringComparison.Ordinal);
        Assert.Contains(said, whole, StringComparison.Ordinal);
        Assert.Contains("MisbehavingMethod", whole, StringComparison.Ordinal);
        Assert.True(way != "once-inner" || (whole.Contains("OnceException: said once", StringComparison.Ordinal) && whole.Contains("telling 1", StringComparison.Ordinal)), whole);
        Assert.Equal(whole, thrown.ToString());
        Assert.Contains(said, Assert.Throws<InvalidOperationException>(() => Forward(layer, state)).Message, StringComparison.Ordinal);
        for (Exception? held = thrown; held is not null; held = held.InnerException)
        {
            Assert.NotEqual("Fixtures", held.GetType().Namespace);
        }
    }

    [Theory]
    [InlineData("weights:task")]
    [InlineData("weights:cancel")]
    [InlineData("weights:throw")]
    [InlineData("weights:unreadable")]
    [InlineData("probe:device", MoeReason.ContractBroken)]
    public async Task What_fails_at_making_a_layer_falls_back_and_the_cause_is_kept(string mode, MoeReason reason = MoeReason.Threw)
    {
        await using MoeHost host = MoeHost.Create(Options(mode), _log);
        using MoeLayer layer = WorkingFolder.CreateLayer(host);

        Assert.Equal(1, WorkingFolder.Run(layer));
        MoeSelectionReport report = Assert.Single(host.Selections);
        Assert.Equal(("Working", true), (report.Selected!.Id, report.IsFallback));
        MoeCandidate failed = report.Candidates.Single(c => c.Id == "Misbehaving");
        Assert.Equal((MoeCandidateState.Failed, reason), (failed.State, failed.Reason));
        Assert.DoesNotContain("Dispose", failed.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("argument")]
    [InlineData("unreadable")]
    [InlineData("cancel")]
    public async Task A_state_in_which_a_plugin_has_failed_in_any_way_is_not_used_again(string way)
    {
        await using MoeHost host = MoeHost.Create(Options($"forward:{way}"), _log);
        using MoeLayer layer = WorkingFolder.CreateLayer(host);
        using MoeForwardState state = layer.CreateState();
        Assert.Equal("Misbehaving", Assert.Throws<MoePluginException>(() => Forward(layer, state)).PluginId);
        Assert.Throws<InvalidOperationException>(() => Forward(layer, state));
        using MoeForwardState another = layer.CreateState();
        Forward(layer, another);
    }

    [Fact]
    public async Task The_end_that_the_caller_asked_for_is_no_fault()
    {
        await using MoeHost host = MoeHost.Create(Options("weights:cancel"), _log);
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();
        Assert.Throws<OperationCanceledException>(() => host.CreateLayer(TinyLayer.Request, TinyLayer.Weights, null, cancelled.Token));
    }

    public async ValueTask DisposeAsync()
    {
        _layer.Dispose();
        await _serving.DisposeAsync();
        _folder.Dispose();
    }

    // Nothing but what the host's API promises comes out of it, and what it logs can be written.
    private async Task Meet(string mode)
    {
        await using MoeHost host = MoeHost.Create(Options(mode), _log);
        Meet(host);
    }

    private void Meet(MoeHost host)
    {
        try
        {
            Assert.NotEmpty(string.Concat(host.Plugins.Select(p => p.ToString())));
            MoeSelectionReport report = host.Explain(TinyLayer.Request);
            AssertPlain(report.Sentence);
            Assert.All(report.Candidates, static candidate => AssertPlain($"{candidate.Version} {candidate.DeviceName} {candidate.Message}"));
            Assert.All(host.Plugins, static plugin => AssertPlain(string.Concat(plugin.Steps.Select(static step => step.Sentence))));
            using MoeLayer layer = WorkingFolder.CreateLayer(host);
            using MoeForwardState state = layer.CreateState();
            _ = state.ByteCount;
            AssertPlain(layer.WeightRemark ?? "");
            Forward(layer, state);
            layer.Synchronize();
        }
        catch (MoeException exception)
        {
            AssertPlain(exception.ToString());
            Assert.InRange(exception.Message.Length, 1, 100_000);
        }

        Assert.Equal(1, WorkingFolder.Run(_layer));
    }

    // Nothing moves a terminal's cursor, hides, or fills a log.
    private static void AssertPlain(string text)
    {
        Assert.True(PlainText.IsPlain(text), PlainText.OfMessage(text));
        Assert.InRange(text.Length, 0, 200_000);
    }

    private static void Forward(MoeLayer layer, MoeForwardState state)
    {
        using var input = new Floats(1, 5);
        using var output = new Floats(1, 5);
        layer.Forward(state, new MoeLayerCall { Input = input.View, Output = output.View });
    }

    private MoeOptions Options(string mode)
    {
        MoeOptions options = _folder.Drop.Options;
        options.ActivationTimeout = TimeSpan.FromSeconds(mode.Contains(":hang", StringComparison.Ordinal) || mode.Contains("never", StringComparison.Ordinal) ? 0.3 : 5);
        options.Plugins["Misbehaving"] = new Dictionary<string, string> { ["mode"] = mode };
        return options;
    }

    /// <summary>Writes all that is logged, exceptions too, as a console does.</summary>
    private sealed class StringLog : ILoggerFactory, ILogger
    {
        public ILogger CreateLogger(string categoryName) => this;

        public void AddProvider(ILoggerProvider provider) => throw new NotSupportedException();

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            AssertPlain($"{formatter(state, exception)} {exception}");

        public void Dispose()
        {
        }
    }
}
