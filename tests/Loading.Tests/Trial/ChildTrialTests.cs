namespace Moe.Plugins.Tests;

/// <summary>What would end the process ends another one, and is known by its name from then on.</summary>
public sealed class ChildTrialTests : IDisposable
{
    private readonly DropFolder _drop = new DropFolder().With("Faulty", "Good");

    public static TheoryData<string, string, MoeReason, string> Disasters => new()
    {
        { "activate", "segv", MoeReason.Crashed, "When its backend was made, in a process of its own, it died of SIGSEGV" },
        { "activate", "abort", MoeReason.Crashed, "died of SIGABRT" },
        { "activate", "overflow", MoeReason.Crashed, "it overflowed the stack." },
        { "activate", "exit", MoeReason.Crashed, "it ended the process with exit code 7." },
        { "activate", "thread", MoeReason.Crashed, "thrown on a thread of the plugin's own" },
        { "activate", "hang", MoeReason.TimedOut, "did not return within 2 s" },
        { "probe", "segv", MoeReason.Crashed, "When its backend was asked about a layer, in a process of its own, it died of SIGSEGV" },
        { "static", "segv", MoeReason.Crashed, "When its backend was made, in a process of its own, it died of SIGSEGV" },
    };

    [Theory]
    [MemberData(nameof(Disasters))]
    public async Task A_disaster_is_named_quarantined_and_harms_nobody(string where, string what, MoeReason reason, string sentence)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Signals are named on Unix.");
        if (where == "static")
        {
            // Static constructors know no settings.
            _drop.WithFile("Faulty", "static.txt", []);
        }

        await using MoeHost host = MoeHost.Create(Options(where, what));
        MoePluginInfo plugin = host.Plugins.Single(p => p.Id == "Faulty");
        Assert.Equal((MoeCandidateState.Quarantined, reason), (plugin.State, plugin.Reason));
        Assert.Contains(sentence, plugin.Message, StringComparison.Ordinal);
        Assert.Contains("'moe plugins release Faulty'", plugin.Message, StringComparison.Ordinal);
        Assert.Equal(MoePluginStepKind.Trial, plugin.Steps[^1].Step);
        Assert.Equal("Good", host.Explain(TinyLayer.Request).Selected!.Id);
    }

    [Fact]
    public async Task A_quarantine_lasts_until_it_is_released()
    {
        MoeOptions options = Options("activate", "exit");
        await using (MoeHost first = MoeHost.Create(options))
        {
            Assert.Equal(MoeCandidateState.Quarantined, first.Plugins[0].State);
        }

        // What would do no harm now is not even tried.
        MoeOptions harmless = Options("activate", "");
        await using MoeHost second = MoeHost.Create(harmless);
        Assert.Equal(MoeCandidateState.Quarantined, second.Plugins[0].State);

        Assert.Empty(MoeQuarantine.Release(harmless, "Good"));
        Assert.Contains("exit code 7", Assert.Single(MoeQuarantine.Release(harmless, "faulty")), StringComparison.Ordinal);
        MoeReloadReport report = await second.ReloadAsync("Faulty", TestContext.Current.CancellationToken);
        Assert.Equal(MoeReloadOutcome.Replaced, report.Outcome);
    }

    [Fact]
    public async Task A_verdict_is_found_once_and_kept_by_the_content()
    {
        MoeOptions options = Options("activate", "");
        await using (MoeHost first = MoeHost.Create(options))
        {
            Assert.All(first.Plugins, p => Assert.Equal("It did no harm to a process of its own.", TrialOf(p)));
        }

        // It would crash now, and is known as harmless: the verdict is on the content.
        await using (MoeHost second = MoeHost.Create(Options("probe", "throw")))
        {
            Assert.All(second.Plugins, p => Assert.Equal("It was tried before.", TrialOf(p)));
        }

        _drop.WithFile("Faulty", "changed.txt", [1]);
        await using MoeHost third = MoeHost.Create(options);
        Assert.Equal(["It did no harm to a process of its own.", "It was tried before."], third.Plugins.Select(TrialOf));
    }

    [Fact]
    public async Task An_exception_is_no_disaster()
    {
        await using MoeHost host = MoeHost.Create(Options("activate", "throw"));
        MoePluginInfo plugin = host.Plugins.Single(p => p.Id == "Faulty");
        Assert.Equal((MoeCandidateState.Failed, MoeReason.Threw), (plugin.State, plugin.Reason));
        Assert.Contains("only an exception", plugin.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_broken_replacement_that_would_end_the_process_is_not_taken()
    {
        using var folder = new WorkingFolder();
        MoeOptions options = folder.Drop.Options;
        options.Trial = MoeTrialMode.Child;
        await using MoeHost host = MoeHost.Create(options);
        Directory.Delete(Path.Combine(folder.Drop.Plugins, "Working"), recursive: true);
        folder.Drop.With("Working").WithFile("Working", "exit.txt", []);

        MoeReloadReport report = await host.ReloadAsync("Working", TestContext.Current.CancellationToken);
        Assert.Equal((MoeReloadOutcome.Kept, MoeReason.Crashed), (report.Outcome, report.Plugin.Reason));
        using MoeLayer layer = WorkingFolder.CreateLayer(host);
        Assert.Equal(1, WorkingFolder.Run(layer));
    }

    [Fact]
    public async Task In_process_a_mark_that_a_dead_process_left_is_a_quarantine()
    {
        var verdicts = new VerdictStore(_drop.Staging);
        string hash = PluginContent.Read(Path.Combine(_drop.Plugins, "Good")).Hash;
        PrivateFolder.Create(_drop.Staging);
        using (verdicts.Mark(hash))
        {
            // A live process's mark says nothing.
            await using MoeHost beside = MoeHost.Create(_drop.Options);
            Assert.Equal(MoeCandidateState.Activated, beside.Plugins.Single(p => p.Id == "Good").State);
        }

        File.WriteAllText(Path.Combine(_drop.Staging, ".verdicts", hash + ".1.loading"), "");
        await using MoeHost host = MoeHost.Create(_drop.Options);
        MoePluginInfo plugin = host.Plugins.Single(p => p.Id == "Good");
        Assert.Equal((MoeCandidateState.Quarantined, MoeReason.Crashed), (plugin.State, plugin.Reason));
        Assert.Contains("ended before that was done", plugin.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task With_a_child_a_mark_is_a_reason_to_try_again()
    {
        MoeOptions options = Options("activate", "");
        await using (MoeHost.Create(options))
        {
        }

        string hash = PluginContent.Read(Path.Combine(_drop.Plugins, "Good")).Hash;
        File.WriteAllText(Path.Combine(_drop.Staging, ".verdicts", hash + ".1.loading"), "");
        await using MoeHost host = MoeHost.Create(options);
        Assert.Equal("It did no harm to a process of its own.", TrialOf(host.Plugins.Single(p => p.Id == "Good")));
        Assert.Empty(Directory.GetFiles(Path.Combine(_drop.Staging, ".verdicts"), "*.loading"));
    }

    [Fact]
    public void Nothing_is_left_of_a_trial_but_its_verdict()
    {
        using (MoeHost.Create(Options("activate", "exit")))
        {
        }

        Assert.Equal(2, Directory.GetFiles(Path.Combine(_drop.Staging, ".verdicts")).Length);
    }

    public void Dispose() => _drop.Dispose();

    private static string TrialOf(MoePluginInfo plugin) => plugin.Steps.Single(s => s.Step == MoePluginStepKind.Trial).Sentence;

    private MoeOptions Options(string where, string what)
    {
        MoeOptions options = _drop.Options;
        options.Trial = MoeTrialMode.Child;
        options.Plugins["Faulty"] = new Dictionary<string, string> { ["where"] = where, ["what"] = what };
        return options;
    }
}
