using System.Text.Json;

namespace Moe.Plugins.Cli.Tests;

/// <summary>`moe plugins` and `moe backends --watch`.</summary>
public sealed class PluginsTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    private static string Cpu => Path.Combine(AppContext.BaseDirectory, "plugins", "Cpu");

    [Fact]
    public async Task Trust_shows_what_it_pins()
    {
        string lockFile = _folder.File("lock.json");
        Cli result = await Cli.Run("plugins", "trust", Cpu, "--lock", lockFile, "--yes");
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.All(["Cpu.dll", "native libraries", "imports", "module initializers", "may do anything", lockFile], word => Assert.Contains(word, result.Output, StringComparison.Ordinal));

        using var json = JsonDocument.Parse(await File.ReadAllBytesAsync(lockFile, TestContext.Current.CancellationToken));
        JsonElement pin = Assert.Single(json.RootElement.GetProperty("plugins").EnumerateArray());
        Assert.Equal("Cpu", pin.GetProperty("id").GetString());
        Assert.Equal(Directory.GetFiles(Cpu, "*", SearchOption.AllDirectories).Length, pin.GetProperty("files").EnumerateObject().Count());
    }

    [Fact]
    public async Task A_name_that_turns_the_direction_of_writing_is_shown_as_what_it_is()
    {
        string plugin = Directory.CreateDirectory(Path.Combine(_folder.Path, "Cpu")).FullName;
        foreach (string file in Directory.GetFiles(Cpu))
        {
            File.Copy(file, Path.Combine(plugin, Path.GetFileName(file)));
        }

        const string name = "native\u202Eyrarbil\u200B.txt";
        await File.WriteAllTextAsync(Path.Combine(plugin, name), "x", TestContext.Current.CancellationToken);
        string lockFile = _folder.File("lock.json");
        Cli text = await Cli.Run("plugins", "trust", plugin, "--lock", lockFile, "--yes");
        Assert.DoesNotContain('\u202E', text.Output);
        Assert.Contains(@"native\u{202E}yrarbil\u{200B}.txt", text.Output, StringComparison.Ordinal);

        Cli json = await Cli.Run("plugins", "trust", plugin, "--lock", lockFile, "--yes", "--json");
        Assert.DoesNotContain('\u202E', json.Output);
        Assert.Contains(json.Json().GetProperty("files").EnumerateObject(), file => file.Name == name);
    }

    /// <summary>What a name adds stands on the line of its own plugin, and looks like no other's.</summary>
    [Fact]
    public async Task A_name_of_several_lines_is_shown_on_one()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "No name has a line end there.");
        const string name = "Broken\n\nright: all of it";
        string plugin = Directory.CreateDirectory(Path.Combine(_folder.Path, "plugins", name)).FullName;
        await File.WriteAllTextAsync(Path.Combine(plugin, $"{name}.dll"), "x", TestContext.Current.CancellationToken);
        string folder = Path.GetDirectoryName(plugin)!;
        foreach (string[] arguments in (string[][])
        [
            ["backends", "--plugins", folder],
            ["backends", "--explain", "--plugins", folder],
            ["run", "--plugins", folder],
            ["run", "--plugins", plugin],
            ["verify", plugin],
            ["plugins", "trust", plugin, "--yes"],
            ["plugins", "trust", plugin + "x", "--yes"],
            ["plugins", "trust", Cpu, "--lock", plugin, "--yes"],
            ["inspect", plugin],
            ["run", "--output", plugin],
        ])
        {
            Cli result = await Cli.Run(arguments);
            string said = result.Output + result.Error;
            Assert.Contains(@"Broken\n\nright: all of it", said, StringComparison.Ordinal);
            Assert.DoesNotContain(said.Split('\n'), static line => line.TrimStart().StartsWith("right:", StringComparison.Ordinal));
        }
    }

    [Fact]
    public async Task Trust_that_nobody_confirms_writes_nothing()
    {
        string lockFile = _folder.File("lock.json");
        Cli result = await Cli.Run("plugins", "trust", Cpu, "--lock", lockFile);
        Assert.Equal(ExitCode.BadInput, result.ExitCode);
        Assert.Contains("--yes", result.Error, StringComparison.Ordinal);
        Assert.False(File.Exists(lockFile));
    }

    [Fact]
    public async Task Trust_of_what_is_no_plugin_says_why()
    {
        Cli result = await Cli.Run("plugins", "trust", _folder.Path, "--yes");
        Assert.Equal(ExitCode.BadInput, result.ExitCode);
        Assert.Contains("a plugin's main assembly is named after its folder", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Release_of_what_is_not_in_quarantine_is_an_error()
    {
        Cli result = await Cli.Run("plugins", "release", "Nobody");
        Assert.Equal(ExitCode.BadInput, result.ExitCode);
        Assert.Contains("'Nobody' is not in quarantine", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Watching_reloads_what_changed()
    {
        string plugins = Path.Combine(_folder.Path, "plugins");
        string target = Directory.CreateDirectory(Path.Combine(plugins, "Cpu")).FullName;
        foreach (string file in Directory.GetFiles(Cpu))
        {
            File.Copy(file, Path.Combine(target, Path.GetFileName(file)));
        }

        using var output = new StringWriter();
        using var error = new StringWriter();
        using var console = new CommandConsole(output, error) { AsJson = true, AsLines = true };
        await using MoeHost host = MoeHost.Create(new MoeOptions { PluginFolders = [plugins], Trial = MoeTrialMode.InProcess });
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);

        // Only against hanging.
        stop.CancelAfter(TimeSpan.FromMinutes(2));
        Task watch = BackendsWatch.RunAsync(host, console, TimeSpan.FromMilliseconds(20), stop.Token);
        await File.WriteAllTextAsync(Path.Combine(target, "new.txt"), "new", stop.Token);
        while (output.GetStringBuilder().Length == 0)
        {
            await Task.Delay(20, stop.Token);
        }

        await stop.CancelAsync();
        await watch;
        Assert.Single(output.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal("replaced", JsonDocument.Parse(output.ToString()).RootElement.GetProperty("outcome").GetString());
    }

    public void Dispose() => _folder.Dispose();
}
