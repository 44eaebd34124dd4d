using System.Diagnostics;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace Moe.Plugins.Cli.Tests;

public sealed class VerifyTests
{
    [Fact]
    public async Task The_cpu_backend_keeps_every_rule()
    {
        using var folder = new TemporaryFolder();
        string html = Path.Combine(folder.Path, "report.html");

        // What a process has in memory is held against a rule: other tests must not be in it.
        Cli result = await Cli.RunProgram("verify", "Cpu", "--json", "--html", html);

        JsonElement report = JsonDocument.Parse(result.Output).RootElement;
        Assert.Empty(report.GetProperty("rules").EnumerateArray().Where(rule => rule.GetProperty("failures").GetArrayLength() > 0).Select(rule => $"{rule}"));
        Assert.Equal((0, ""), (result.ExitCode, result.Error));
        Assert.True(report.GetProperty("conforms").GetBoolean());
        string[] outcomes = [.. report.GetProperty("rules").EnumerateArray().Select(rule => $"{rule.GetProperty("rule")} {rule.GetProperty("outcome")}")];
        string guide = await File.ReadAllTextAsync(Path.Combine(Repository.Root, "docs", "writing-a-backend.md"), TestContext.Current.CancellationToken);
        Assert.Contains($"Of the {outcomes.Length} rules, ", guide, StringComparison.Ordinal);
        Assert.Contains("numerics passed", outcomes);
        Assert.Contains("unloads passed", outcomes);
        Assert.Equal(["beyond-rounding not_supported", "pads-and-skips-alike not_supported", "waits-for-nothing not_supported"], outcomes.Where(outcome => !outcome.EndsWith(" passed", StringComparison.Ordinal)));
        string page = await File.ReadAllTextAsync(html, TestContext.Current.CancellationToken);
        Assert.StartsWith("<!doctype html>", page, StringComparison.Ordinal);
        Assert.Contains("<code>rounding-idempotent</code>", page, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_dll_is_loaded_from_where_it_lies_and_one_that_stays_loaded_is_found()
    {
        string plugin = Path.Combine(AppContext.BaseDirectory, "fixtures", "Pinned", "Pinned.dll");

        Cli result = await Cli.Run("verify", plugin, "--rule", "unloads");

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("a static timer", result.Output, StringComparison.Ordinal);
        Assert.Contains($"moe verify {plugin} --rule unloads", result.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Good", "Good.dll")]
    [InlineData("Good", "")]
    public async Task A_plugin_that_lets_go_passes(params string[] path)
    {
        Cli result = await Cli.Run("verify", Path.Combine([AppContext.BaseDirectory, "fixtures", .. path]), "--rule", "unloads");

        Assert.Equal(0, result.ExitCode);
        Assert.Contains("1 passed", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_breaks_a_rule_is_told_with_the_command_that_shows_it_again()
    {
        Cli result = await Cli.Run("verify", Path.Combine(AppContext.BaseDirectory, "fixtures", "Good", "Good.dll"), "--rule", "numerics", "--seed", "7");

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("FAILED", result.Output, StringComparison.Ordinal);
        Assert.Contains("--rule numerics --seed 7", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_page_begins_with_what_is_broken_and_says_when_where_on_what_and_how_long()
    {
        using var folder = new TemporaryFolder();
        string html = folder.File("report.html");
        string plugin = Path.Combine(AppContext.BaseDirectory, "fixtures", "Good", "Good.dll");
        Cli result = await Cli.Run("verify", plugin, "--rule", "rounding-pure", "--rule", "numerics", "--rule", "group-sums", "--html", html);
        Assert.Equal(1, result.ExitCode);
        string page = await File.ReadAllTextAsync(html, TestContext.Current.CancellationToken);
        string[] parts = ["<dt>date</dt>", "<dt>machine</dt>", "<dt>device</dt>", "<dt>duration</dt>", "Broken: 1", "<code>numerics</code>", "Not checked: 1", "Kept: 1"];
        int[] places = [.. parts.Select(part => page.IndexOf(part, StringComparison.Ordinal))];
        Assert.DoesNotContain(-1, places);
        Assert.Equal(places.Order(), places);
    }

    [Fact]
    public async Task A_reason_that_several_rules_share_is_said_once()
    {
        using var folder = new TemporaryFolder();
        string html = folder.File("report.html");
        string plugin = Path.Combine(AppContext.BaseDirectory, "fixtures", "Good", "Good.dll");
        Cli result = await Cli.Run("verify", plugin, "--rule", "group-sums", "--rule", "group-abort", "--html", html);
        const string reason = "the backend is no IMoeParallelBackend";
        Assert.Equal(2, result.Output.Split(reason).Length);
        Assert.Contains("group-abort (as group-sums)", result.Output, StringComparison.Ordinal);
        Assert.Equal(2, (await File.ReadAllTextAsync(html, TestContext.Current.CancellationToken)).Split(reason).Length);
    }

    [Theory]
    [InlineData(3, "'nope' could not be loaded as a backend", "verify", "nope")]
    [InlineData(2, "'no/such.dll' is not a file", "verify", "no/such.dll")]
    [InlineData(2, "--rule is 'made-up'", "verify", "Cpu", "--rule", "made-up")]
    [InlineData(2, "--deadline is '0'; a whole number of at least 1 is expected", "verify", "Cpu", "--deadline", "0")]
    [InlineData(2, "--expect-failure is 'made-up'", "verify", "Cpu", "--expect-failure", "made-up")]
    public async Task What_cannot_be_verified_is_named(int exitCode, string message, params string[] arguments)
    {
        Cli result = await Cli.Run(arguments);

        Assert.Equal(exitCode, result.ExitCode);
        Assert.Contains(message, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_plugin_that_does_not_return_fails_its_rules_and_does_not_keep_the_program()
    {
        using var folder = new TemporaryFolder();
        string html = folder.File("report.html");
        string plugin = Path.Combine(AppContext.BaseDirectory, "fixtures", "Misbehaving", "Misbehaving.dll");
        string[] rules = ["no-tokens", "numerics", "top-k", "caller-routing-counts", "unloads"];
        Cli result = await Cli.RunProgramIn(
            [("Moe__Plugins__Misbehaving__mode", "weights:hang")],
            ["verify", plugin, "--deadline", "1", "--json", "--html", html, .. rules.SelectMany(static rule => new[] { "--rule", rule })]);

        Assert.Equal((1, ""), (result.ExitCode, result.Error));
        JsonElement report = JsonDocument.Parse(result.Output).RootElement;
        Assert.False(report.GetProperty("conforms").GetBoolean());
        JsonElement[] found = [.. report.GetProperty("rules").EnumerateArray()];
        Assert.Equal(["failed", "failed", "not_run", "not_run", "not_run"], found.Select(rule => rule.GetProperty("outcome").GetString()));
        string[] late = [.. found[..2].Select(rule => rule.GetProperty("rule").GetString()!)];
        JsonElement failure = found[0].GetProperty("failures")[0];
        Assert.Equal("an end within 1 s", failure.GetProperty("expected").GetString());
        Assert.StartsWith($"backend Misbehaving, under rule {late[0]}, has not returned after 1", failure.GetProperty("got").GetString(), StringComparison.Ordinal);
        Assert.All(found[2..], rule => Assert.Equal($"not run, since Misbehaving did not return from {late[0]} and {late[1]}", rule.GetProperty("reason").GetString()));
        Assert.StartsWith($"moe verify {plugin} --deadline 1 --rule {late[0]}", found[0].GetProperty("command").GetString(), StringComparison.Ordinal);
        Assert.Contains("Not checked: 3", await File.ReadAllTextAsync(html, TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_plugin_that_hangs_while_it_is_used_and_unloaded_is_left_behind()
    {
        string plugin = Path.Combine(AppContext.BaseDirectory, "fixtures", "Misbehaving", "Misbehaving.dll");
        Cli result = await Cli.RunProgramIn([("Moe__Plugins__Misbehaving__mode", "forward:hang")], "verify", plugin, "--deadline", "1", "--rule", "unloads");

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("backend Misbehaving, under rule unloads, has not returned after 1", result.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("weights:hang", "rounding-pure", "numerics", "top-k", "input-unchanged")]
    [InlineData("forward:hang", "rounding-pure", "unloads")]
    public async Task An_interrupt_ends_a_rule_that_hangs_with_what_is_known(string mode, string passed, string hung, params string[] others)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Sends a signal with kill(1).");
        using var folder = new TemporaryFolder();
        string html = folder.File("report.html");
        string plugin = Path.Combine(AppContext.BaseDirectory, "fixtures", "Misbehaving", "Misbehaving.dll");
        string program = Path.Combine(AppContext.BaseDirectory, "Moe.Plugins.Cli.dll");
        string[] rules = [passed, hung, .. others];
        var start = new ProcessStartInfo("dotnet", [program, "verify", plugin, "--html", html, .. rules.SelectMany(static rule => new[] { "--rule", rule })])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["Moe__Plugins__Misbehaving__mode"] = mode;
        using Process process = Process.Start(start)!;
        Task<string> error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        string? first = await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken);
        Assert.Equal($"passed           {passed}", first);

        // Into the rule that hangs; its deadline is five minutes away. TERM is heard as INT is, which a shell may have told these tests to ignore.
        await Task.Delay(TimeSpan.FromSeconds(1), TestContext.Current.CancellationToken);
        using (Process kill = Process.Start("kill", ["-TERM", $"{process.Id}"]))
        {
            await kill.WaitForExitAsync(TestContext.Current.CancellationToken);
        }

        string output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal((130, ""), (process.ExitCode, await error));
        Assert.StartsWith($"not run          {hung} (interrupted)", output, StringComparison.Ordinal);
        Assert.Contains($": 1 passed, {rules.Length - 1} not run, in ", output, StringComparison.Ordinal);
        string page = await File.ReadAllTextAsync(html, TestContext.Current.CancellationToken);
        Assert.Contains($"Not checked: {rules.Length - 1}", page, StringComparison.Ordinal);

        // One reason for all that would have come after it.
        Assert.Equal(
            others.Length > 0 ? [$"interrupted under {hung}:"] : [],
            Regex.Matches(page, "interrupted under [a-z-]+:").Select(static match => match.Value));
    }

    [Fact]
    public async Task That_a_plugin_stays_loaded_may_be_known()
    {
        string plugin = Path.Combine(AppContext.BaseDirectory, "fixtures", "Pinned", "Pinned.dll");
        Cli result = await Cli.Run("verify", plugin, "--rule", "unloads", "--rule", "rounding-pure", "--expect-failure", "unloads");

        Assert.Equal(0, result.ExitCode);
        Assert.Contains("1 expected failure", result.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_rule_that_is_listed_as_broken_and_is_kept_is_a_fault()
    {
        Cli result = await Cli.Run("verify", "Cpu", "--rule", "no-tokens", "--expect-failure", "no-tokens");

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("unexpected pass", result.Output, StringComparison.Ordinal);
    }
}
