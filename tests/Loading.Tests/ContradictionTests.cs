using Microsoft.Extensions.Configuration;

namespace Moe.Plugins.Tests;

/// <summary>Options that mean something and do nothing are said.</summary>
public sealed class ContradictionTests : IDisposable
{
    private readonly DropFolder _drop = new DropFolder().With("Misbehaving");
    private readonly ListLog _log = new();

    [Fact]
    public async Task A_setting_that_the_plugin_does_not_ask_for_is_named_with_the_nearest_that_it_does()
    {
        await Load(options => options.Plugins["Misbehaving"] = new Dictionary<string, string> { ["mod"] = "x", ["mode"] = "" });
        Assert.Contains(
            "Misbehaving did not ask for MoeOptions.Plugins:Misbehaving:mod when it was made. Did you mean 'mode'? It asked for: mode, switch.",
            Texts(18));
        Assert.Single(Texts(18));
    }

    [Fact]
    public async Task Settings_of_a_plugin_that_is_not_there_are_named_with_the_nearest_that_is()
    {
        await Load(options => options.Plugins["Misbehavin"] = new Dictionary<string, string> { ["mode"] = "" });
        Assert.Equal(["MoeOptions.Plugins:Misbehavin has settings of a plugin that was not found. Did you mean 'Misbehaving'?"], Texts(18));
    }

    [Fact]
    public async Task A_pattern_that_matches_no_layer_is_named_with_the_nearest_layer()
    {
        await Load(
            options =>
            {
                options.Layers["model.layer.3.mlp"] = "auto";
                options.Layers["model.*"] = "auto";
            },
            host => host.Explain(TinyLayer.Request));
        Assert.Equal(["MoeOptions.Layers:model.layer.3.mlp was the pattern of none of the 1 layers that were asked for. Did you mean 'model.layers.3.mlp'?"], Texts(19));
    }

    [Fact]
    public async Task A_folder_that_is_not_there_and_one_that_is_none_are_named()
    {
        string file = Path.Combine(_drop.Root, "file");
        string missing = Path.Combine(_drop.Root, "missing");
        File.WriteAllText(file, "");
        MoeSelectionReport? report = null;
        await Load(options => options.PluginFolders = [_drop.Plugins, missing, file], host => report = host.Explain(TinyLayer.Request));
        Assert.Equal([$"The plugin folder {missing} is not there.", $"The plugin folder {file} is not a folder."], Texts(17));
        Assert.Contains($"Looked in {missing}, which is not there", report!.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_any_plugin_one_sentence_says_so()
    {
        string missing = Path.Combine(_drop.Root, "missing");
        await Load(options =>
        {
            options.PluginFolders = [missing];
            options.Backend = "Misbehaving";
            options.Plugins["Misbehaving"] = new Dictionary<string, string> { ["mode"] = "" };
        });
        Assert.StartsWith($"No MoE backend was found. Looked in: {missing}, which is not there. Add", Assert.Single(_log.Lines).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_that_vanishes_or_cannot_be_read_throws_nothing()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no such mode.");
        await using MoeHost host = _drop.Load();
        Directory.Delete(_drop.Plugins, recursive: true);
        Assert.Empty(await host.ReloadChangedAsync(TestContext.Current.CancellationToken));
        Assert.Equal("Misbehaving", host.Explain(TinyLayer.Request).Selected!.Id);
        MoeReloadReport report = await host.ReloadAsync("Misbehaving", TestContext.Current.CancellationToken);
        Assert.Equal((MoeReloadOutcome.Kept, MoeReason.NotFound), (report.Outcome, report.Plugin.Reason));
    }

    [Theory]
    [InlineData("Mo", true)]
    [InlineData("Model:Moe2", true)]
    [InlineData("Moe", false)]
    public void A_section_that_is_named_and_not_there_is_an_error(string section, bool isWrong)
    {
        IConfiguration configuration = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?> { ["Other:Key"] = "x" }).Build();
        Exception? exception = Record.Exception(() => MoeOptions.From(configuration.GetSection(section)));
        Assert.Equal(isWrong, exception is MoeOptionsException wrong && wrong.Message.StartsWith($"{section} is no section of the configuration", StringComparison.Ordinal));
    }

    [Fact]
    public void Settings_of_a_plugin_whose_id_has_dots_come_from_environment_variables()
    {
        IConfiguration configuration = new ConfigurationBuilder().AddInMemoryCollection(new Dictionary<string, string?>
        {
            ["Moe:Plugins:Mxfp4_Marlin:KernelCache"] = "/from/environment",
            ["Moe:Plugins:Mxfp4_Marlin:Context"] = "1",
            ["Moe:Plugins:Mxfp4.Marlin:KernelCache"] = "/from/file",
        }).Build();
        IReadOnlyDictionary<string, string> settings = MoeOptions.From(configuration).SettingsOf("Mxfp4.Marlin");
        Assert.Equal(("/from/file", "1"), (settings["KernelCache"], settings["Context"]));
    }

    [Fact]
    public async Task A_plugin_of_a_framework_that_the_program_lacks_says_what_brings_it_in()
    {
        _drop.WithFile(
            "Misbehaving",
            "Misbehaving.runtimeconfig.json",
            """{"runtimeOptions":{"frameworks":[{"name":"Microsoft.NETCore.App","version":"10.0.0"},{"name":"Microsoft.Contoso.App","version":"1.0.0"}]}}"""u8.ToArray());
        await using MoeHost host = _drop.Load();
        MoePluginInfo plugin = Assert.Single(host.Plugins);
        Assert.Equal((MoeCandidateState.Rejected, MoeReason.MissingDependency), (plugin.State, plugin.Reason));
        Assert.Contains("""add <FrameworkReference Include="Microsoft.Contoso.App" /> to the program's project""", plugin.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Versions_that_stay_in_memory_after_they_were_replaced_are_counted_in_the_log()
    {
        using var drop = new DropFolder().With("Pinned");
        await using MoeHost host = MoeHost.Create(drop.Options, _log);
        for (int version = 0; version < 3; version++)
        {
            drop.WithFile("Pinned", "version.txt", [(byte)version]);
            host.Explain(TinyLayer.Request);
            Assert.Equal(MoeReloadOutcome.Replaced, (await host.ReloadAsync("Pinned", TestContext.Current.CancellationToken)).Outcome);
        }

        await host.DisposeAsync();
        Assert.Contains(Texts(20), text => text.StartsWith("3 versions of MoE plugin Pinned were unloaded and are still in memory", StringComparison.Ordinal));
    }

    [Fact]
    public async Task Versions_that_go_are_not_counted()
    {
        using var folder = new WorkingFolder();
        await using MoeHost host = MoeHost.Create(folder.Drop.Options, _log);
        for (int version = 2; version < 7; version++)
        {
            folder.RenameOver(WorkingFolder.Version(version));
            await host.ReloadAsync("Working", TestContext.Current.CancellationToken);
        }

        await host.DisposeAsync();
        Assert.Empty(Texts(20));
    }

    public void Dispose()
    {
        _log.Dispose();
        _drop.Dispose();
    }

    private async Task Load(Action<MoeOptions> configure, Action<MoeHost>? use = null)
    {
        MoeOptions options = _drop.Options;
        configure(options);
        await using MoeHost host = MoeHost.Create(options, _log);
        use?.Invoke(host);
    }

    private string[] Texts(int id)
    {
        lock (_log.Lines)
        {
            return [.. _log.Lines.Where(line => line.Id == id).Select(static line => line.Text)];
        }
    }
}
