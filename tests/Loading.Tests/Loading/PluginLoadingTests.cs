namespace Moe.Plugins.Tests;

/// <summary>Real plugin DLLs in a real folder: each fault has its own sentence, and none stops the good ones.</summary>
public sealed class PluginLoadingTests
{
    [Fact]
    public async Task A_good_plugin_is_active_and_gets_its_settings_and_its_private_folder()
    {
        using var drop = new DropFolder().With("Good");
        MoeOptions options = drop.Options;
        options.Plugins["gOOD"] = new Dictionary<string, string> { ["Deep:Er"] = "a setting" };
        await using MoeHost host = MoeHost.Create(options);

        MoePluginInfo plugin = Assert.Single(host.Plugins);
        Assert.Equal(("Good", "0.1.0", MoeCandidateState.Activated), (plugin.Id, plugin.Version, plugin.State));
        Assert.Equal(MoeContract.Version, plugin.ContractVersion);
        Assert.Equal(drop.MainAssemblyOf("Good"), plugin.Path);
        Assert.Equal(
            [MoePluginStepKind.Trust, MoePluginStepKind.Inspect, MoePluginStepKind.Stage, MoePluginStepKind.Trial, MoePluginStepKind.Load, MoePluginStepKind.Activate],
            plugin.Steps.Select(s => s.Step));

        MoeCandidate selected = host.Explain(TinyLayer.Request).Selected!;
        Assert.StartsWith($"a setting; True; {drop.Staging}", selected.Message, StringComparison.Ordinal);
        Assert.Equal((256, 128), (selected.HiddenSize, selected.IntermediateSize));
        Assert.Equal((false, false), (selected.SupportsSkipForwardPadding, selected.HasUnpaddedOutput));
    }

    [Theory]
    [InlineData("MissingBase", MoeReason.MissingDependency, "MissingDependency")]
    [InlineData("MissingCtor", MoeReason.MissingDependency, "MissingDependency")]
    [InlineData("ThrowingCtor", MoeReason.Threw, "the constructor is broken")]
    [InlineData("HangingCtor", MoeReason.TimedOut, "did not return within 2 s")]
    [InlineData("ContractNewMinor", MoeReason.ContractVersion, "needs contract 2.9; this host has 2.0")]
    [InlineData("ContractNewMajor", MoeReason.ContractVersion, "needs contract 3.0; this host has 2.0")]
    [InlineData("NoAttribute", MoeReason.NotAPlugin, "has no [assembly: MoePlugin(id, entry type)]")]
    public async Task A_faulty_plugin_says_why_and_the_good_one_runs(string faulty, MoeReason reason, string sentence)
    {
        using var drop = new DropFolder().With("Good", faulty);
        await using MoeHost host = drop.Load();

        MoePluginInfo plugin = host.Plugins.Single(p => p.Id == faulty);
        Assert.Equal(reason, plugin.Reason);
        Assert.Contains(sentence, plugin.Message, StringComparison.Ordinal);
        MoeSelectionReport report = host.Explain(TinyLayer.Request);
        Assert.Equal("Good", report.Selected!.Id);
        Assert.Contains(report.Candidates, c => c.Id == faulty && c.Reason == reason);
    }

    [Fact]
    public async Task A_dependency_that_is_missed_in_a_method_is_the_probes_answer()
    {
        using var drop = new DropFolder().With("Good", "MissingBody");
        await using MoeHost host = drop.Load();

        MoeSelectionReport report = host.Explain(TinyLayer.Request with { Backend = "MissingBody" });
        Assert.Null(report.Selected);
        Assert.Equal(MoeReason.MissingDependency, report.Reason);
        Assert.Contains("MissingDependency, Version=", report.Sentence, StringComparison.Ordinal);
        Assert.Equal("Good", host.Explain(TinyLayer.Request).Selected!.Id);
    }

    [Fact]
    public async Task A_probe_that_hangs_is_asked_once()
    {
        using var drop = new DropFolder().With("Good", "HangingProbe");
        await using MoeHost host = drop.Load();

        Assert.Equal("Good", host.Explain(TinyLayer.Request).Selected!.Id);
        long before = Environment.TickCount64;
        MoeSelectionReport again = host.Explain(TinyLayer.Request);
        Assert.True(Environment.TickCount64 - before < 1000, "The second question does not wait for it.");
        Assert.Equal(MoeCandidateState.TimedOut, again.Candidates.Single(c => c.Id == "HangingProbe").State);
    }

    [Fact]
    public async Task What_is_no_assembly_is_refused_without_loading_it()
    {
        using var drop = new DropFolder()
            .With("Good")
            .WithFile("Text", "Text.dll", "This is a letter."u8.ToArray())
            .WithFile("Empty", "Empty.dll", [])
            .WithFile("Elf", "Elf.dll", [0x7F, .. "ELF and nothing of Windows' in it"u8])
            .WithFile("Nothing", "read.me", []);
        await using MoeHost host = drop.Load();

        foreach (string name in (string[])["Text", "Empty", "Elf"])
        {
            MoePluginInfo plugin = host.Plugins.Single(p => p.Id == name);
            Assert.Equal((MoeCandidateState.Rejected, MoeReason.NotAPlugin), (plugin.State, plugin.Reason));
            Assert.Equal($"{name}.dll is not a .NET assembly.", plugin.Message);
        }

        Assert.Equal(MoeReason.NotFound, host.Plugins.Single(p => p.Id == "Nothing").Reason);
        Assert.Equal("Good", host.Explain(TinyLayer.Request).Selected!.Id);
    }

    [Fact]
    public async Task Two_plugins_each_call_their_own_version_of_a_dependency()
    {
        using var drop = new DropFolder().With("SideOne", "SideTwo");
        await using MoeHost host = drop.Load();

        MoeSelectionReport report = host.Explain(TinyLayer.Request);
        Assert.Equal(["SideTwo: dependency 2", "SideOne: dependency 1"], report.Candidates.Select(c => $"{c.Id}: {c.Message}"));
    }

    [Fact]
    public async Task Of_two_plugins_with_one_id_the_first_by_name_counts()
    {
        using var drop = new DropFolder().With("Good", "Duplicate");
        await using MoeHost host = drop.Load();

        Assert.Equal(["good", "Good"], host.Plugins.Select(p => p.Id));
        Assert.Equal(MoeCandidateState.Activated, host.Plugins[0].State);
        Assert.Equal(MoeReason.DuplicateId, host.Plugins[1].Reason);
        Assert.Contains(drop.MainAssemblyOf("Duplicate"), host.Plugins[1].Message, StringComparison.Ordinal);
        Assert.Equal(drop.MainAssemblyOf("Duplicate"), host.Explain(TinyLayer.Request with { Backend = "GOOD" }).Selected!.Path);
    }

    [Fact]
    public async Task No_folder_at_all_is_a_report_that_says_where_it_looked()
    {
        using var drop = new DropFolder();
        await using MoeHost host = drop.Load();

        MoeSelectionReport report = host.Explain(TinyLayer.Request);
        Assert.Equal(MoeReason.NotFound, report.Reason);
        Assert.Contains($"Looked in {drop.Plugins}, which is not there", report.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_that_a_build_has_emptied_is_no_plugin()
    {
        using var drop = new DropFolder().With("Good");
        Directory.CreateDirectory(Path.Combine(drop.Plugins, "Gone"));
        await using MoeHost host = drop.Load();

        Assert.Equal(["Good"], host.Plugins.Select(plugin => plugin.Id));
    }
}
