using System.Diagnostics;
using System.Globalization;

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
        { "activate", "spin", MoeReason.TimedOut, "did not return within 2 s" },
        { "activate", "foreground", MoeReason.TimedOut, "it left a foreground thread or a handler of the end, which keeps a program from ending" },
        { "activate", "pool", MoeReason.TimedOut, "it kept the thread pool busy" },
        { "activate", "finalizer", MoeReason.Crashed, "When what it left was collected, in a process of its own, it died of SIGABRT" },
        { "activate", "listener", MoeReason.Crashed, "When an exception was thrown after it had run, in a process of its own, it overflowed the stack" },
        { "activate", "nullsignal", MoeReason.Crashed, "When an exception was thrown after it had run, in a process of its own, it died of SIGSEGV" },
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

    /// <summary>Whether this process was started with a signal ignored, which its children inherit (proc(5), SigIgn).</summary>
    private static bool IsIgnored(string signal)
    {
        const string field = "SigIgn:";
        int number = signal switch { "SIGHUP" => 1, "SIGINT" => 2, "SIGKILL" => 9, "SIGXCPU" => 24, _ => 15 };
        string? mask = OperatingSystem.IsLinux()
            ? File.ReadLines("/proc/self/status").FirstOrDefault(line => line.StartsWith(field, StringComparison.Ordinal))
            : null;
        return mask is not null && (Convert.ToUInt64(mask[field.Length..].Trim(), 16) >> (number - 1) & 1) != 0;
    }

    [Theory]
    [InlineData("SIGHUP")]
    [InlineData("SIGINT")]
    [InlineData("SIGKILL")]
    [InlineData("SIGTERM")]
    [InlineData("SIGXCPU")]
    public async Task A_signal_that_somebody_may_have_sent_is_no_verdict(string signal)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no signals.");
        Assert.SkipWhen(IsIgnored(signal), $"{signal} is ignored by whoever started the tests (nohup does so), and so by every child.");
        await using (MoeHost first = MoeHost.Create(Options("activate", signal)))
        {
            MoePluginInfo plugin = first.Plugins.Single(p => p.Id == "Faulty");
            Assert.Equal((MoeCandidateState.Failed, MoeReason.Crashed), (plugin.State, plugin.Reason));
            Assert.Contains(signal, plugin.Message, StringComparison.Ordinal);
            Assert.EndsWith("It is left out of this start, and tried again at the next.", plugin.Message, StringComparison.Ordinal);
        }

        await using MoeHost second = MoeHost.Create(Options("activate", ""));
        Assert.All(second.Plugins, p => Assert.Equal(MoeCandidateState.Activated, p.State));
    }

    /// <summary>What a runtime does that can start no thread looks like a fault of the plugin's.</summary>
    [Fact]
    public async Task A_fault_where_threads_are_few_is_no_verdict()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && UnixFile.CurrentUser() == 0, "To be another user, whose threads are limited, needs root, on Linux.");
        Assert.SkipUnless(Environment.ProcessorCount <= 16, "A runtime starts a thread for each processor.");
        var settings = new Dictionary<string, string> { ["Moe__Trial"] = "Child", ["Moe__Plugins__Faulty__what"] = "exit" };
        using (Process few = HostProgram.StartAsNobody(_drop, settings, ThreadRoom.Enough))
        {
            string said = await HostProgram.ReadAsync(few, TestContext.Current.CancellationToken);
            Assert.Contains("Faulty Failed Crashed", said, StringComparison.Ordinal);
            Assert.Contains("this user can start no more than", said, StringComparison.Ordinal);
        }

        Assert.DoesNotContain(Verdicts(), static verdict => !verdict.IsHarmless);
        using Process many = HostProgram.StartAsNobody(_drop, settings, 8 * ThreadRoom.Enough);
        Assert.Contains("Faulty Quarantined Crashed", await HostProgram.ReadAsync(many, TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_a_second_child_does_not_do_again_is_no_verdict()
    {
        MoeOptions options = Options("once", "exit", Path.Combine(_drop.Root, "first.txt"));
        await using (MoeHost first = MoeHost.Create(options))
        {
            MoePluginInfo plugin = first.Plugins.Single(p => p.Id == "Faulty");
            Assert.Equal((MoeCandidateState.Failed, MoeReason.Crashed), (plugin.State, plugin.Reason));
            Assert.Contains("exit code 7. A second time it did not.", plugin.Message, StringComparison.Ordinal);
        }

        await using MoeHost second = MoeHost.Create(options);
        Assert.All(second.Plugins, p => Assert.Equal(MoeCandidateState.Activated, p.State));
    }

    [Fact]
    public async Task A_child_that_is_suspended_is_given_up_and_no_verdict()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Windows has no signals.");
        MoeOptions options = Options("activate", "SIGSTOP");
        options.ActivationTimeout = TimeSpan.FromSeconds(1);
        await using MoeHost host = MoeHost.Create(options);
        MoePluginInfo plugin = host.Plugins.Single(p => p.Id == "Faulty");
        Assert.Equal((MoeCandidateState.Failed, MoeReason.Crashed), (plugin.State, plugin.Reason));
        Assert.Contains("suspended", plugin.Message, StringComparison.Ordinal);
        Assert.DoesNotContain(Verdicts(), static verdict => !verdict.IsHarmless);
    }

    /// <summary>Ctrl+C goes to the group of the terminal's foreground; a child has one of its own, and does not outlive who started it.</summary>
    [Fact]
    public async Task A_child_hears_no_Ctrl_C_and_ends_with_its_parent()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Where processes are listed in /proc.");
        CancellationToken cancellation = TestContext.Current.CancellationToken;
        var settings = new Dictionary<string, string>
        {
            ["Moe__Trial"] = "Child",
            ["Moe__ActivationTimeout"] = "00:30:00",
            ["Moe__Plugins__Faulty__where"] = "activate",
            ["Moe__Plugins__Faulty__what"] = "hang",
        };
        using Process parent = HostProgram.Start(_drop, settings, "start");
        int child = 0;
        while (child == 0 || GroupOf(child) != child)
        {
            child = Directory.GetDirectories("/proc").Select(static folder => int.TryParse(Path.GetFileName(folder), out int id) ? id : 0).FirstOrDefault(id => ParentOf(id) == parent.Id);
            await Task.Delay(20, cancellation);
        }

        Assert.NotEqual(GroupOf(parent.Id), GroupOf(child));
        parent.Kill();
        while (ParentOf(child) != 0)
        {
            await Task.Delay(20, cancellation);
        }

        Assert.DoesNotContain(Verdicts(), static verdict => !verdict.IsHarmless);
    }

    [Fact]
    public async Task A_time_limit_that_was_too_short_counts_for_no_longer_one()
    {
        MoeOptions hasty = Options("activate", "hang");
        hasty.ActivationTimeout = TimeSpan.FromSeconds(0.2);
        await using (MoeHost first = MoeHost.Create(hasty))
        {
            Assert.Equal(MoeCandidateState.Quarantined, first.Plugins.Single(p => p.Id == "Faulty").State);
        }

        TrialVerdict verdict = Assert.Single(Verdicts(), static v => v.Id == "Faulty" && !v.IsHarmless);
        Assert.True(verdict.Counts(TimeSpan.FromSeconds(0.1), hasty.SettingsOf("Faulty")));
        Assert.False(verdict.Counts(TimeSpan.FromSeconds(1), hasty.SettingsOf("Faulty")));
        await using MoeHost second = MoeHost.Create(Options("activate", ""));
        Assert.All(second.Plugins, p => Assert.Equal(MoeCandidateState.Activated, p.State));
    }

    [Fact]
    public async Task In_process_a_plugin_whose_process_died_is_left_out_once()
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
        await using (MoeHost host = MoeHost.Create(_drop.Options))
        {
            MoePluginInfo plugin = host.Plugins.Single(p => p.Id == "Good");
            Assert.Equal((MoeCandidateState.Failed, MoeReason.Crashed), (plugin.State, plugin.Reason));
            Assert.Contains("ended before that was done", plugin.Message, StringComparison.Ordinal);
        }

        await using MoeHost next = MoeHost.Create(_drop.Options);
        Assert.Equal(MoeCandidateState.Activated, next.Plugins.Single(p => p.Id == "Good").State);
    }

    [Fact]
    public void Marks_of_many_at_once_are_never_taken_for_those_of_the_dead()
    {
        string hash = new('a', 64);
        PrivateFolder.Create(_drop.Staging);
        int found = 0;
        Parallel.For(0, 400, new ParallelOptions { MaxDegreeOfParallelism = 6 }, _ =>
        {
            var verdicts = new VerdictStore(_drop.Staging);
            found += verdicts.TakeMarks(hash) ? 1 : 0;
            using LoadingMark? mark = verdicts.Mark(hash);
            Assert.NotNull(mark);
        });
        Assert.Equal(0, found);
        Assert.Empty(Directory.GetFiles(Path.Combine(_drop.Staging, ".verdicts"), "*.loading"));
    }

    [Fact]
    public void A_verdict_that_names_another_file_is_none()
    {
        string folder = Path.Combine(_drop.Staging, ".verdicts");
        PrivateFolder.Create(_drop.Staging);
        PrivateFolder.Create(folder);
        string victim = Path.Combine(_drop.Root, "victim.json");
        File.WriteAllText(victim, "");
        File.WriteAllText(
            Path.Combine(folder, new string('a', 64) + ".json"),
            """{"id":"Faulty","version":"1","hash":"../../victim","reason":"Crashed","sentence":"","runtime":"","seconds":1,"settings":""}""");
        Assert.Empty(MoeQuarantine.Release(_drop.Options, "Faulty"));
        Assert.True(File.Exists(victim));
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

        string[] left = [.. Directory.GetFiles(Path.Combine(_drop.Staging, ".verdicts")).Select(file => Path.GetExtension(file)).Order()];
        Assert.Equal([".json", ".json", ".lock"], left);
    }

    public void Dispose() => _drop.Dispose();

    // proc(5): after the name in brackets come the state, the parent and the group. 0 where there is no such process, or only what is left of one.
    private static int ParentOf(int process) => StatusOf(process) is [var state, var parent, ..] && state is not ("Z" or "X") ? int.Parse(parent, CultureInfo.InvariantCulture) : 0;

    private static int GroupOf(int process) => StatusOf(process) is [_, _, var group, ..] ? int.Parse(group, CultureInfo.InvariantCulture) : 0;

    private static string[] StatusOf(int process)
    {
        try
        {
            string line = File.ReadAllText($"/proc/{process}/stat");
            return line[(line.LastIndexOf(')') + 2)..].Split(' ');
        }
        catch (IOException)
        {
            return [];
        }
    }

    private static string TrialOf(MoePluginInfo plugin) => plugin.Steps.Single(s => s.Step == MoePluginStepKind.Trial).Sentence;

    private IEnumerable<TrialVerdict> Verdicts() => new VerdictStore(_drop.Staging).All();

    private MoeOptions Options(string where, string what, string file = "")
    {
        MoeOptions options = _drop.Options;
        options.Trial = MoeTrialMode.Child;
        options.Plugins["Faulty"] = new Dictionary<string, string> { ["where"] = where, ["what"] = what, ["file"] = file };
        return options;
    }
}
