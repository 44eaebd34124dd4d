using System.Text.Json;

namespace Moe.Plugins.Cli.Tests;

public sealed class VerifyTests
{
    [Fact]
    public async Task The_cpu_backend_keeps_every_rule()
    {
        using var folder = new TemporaryFolder();
        string html = Path.Combine(folder.Path, "report.html");

        Cli result = await Cli.Run("verify", "Cpu", "--json", "--html", html);

        JsonElement report = result.Json();
        Assert.True(report.GetProperty("conforms").GetBoolean());
        string[] outcomes = [.. report.GetProperty("rules").EnumerateArray().Select(rule => $"{rule.GetProperty("rule")} {rule.GetProperty("outcome")}")];
        Assert.Contains("numerics passed", outcomes);
        Assert.Contains("unloads passed", outcomes);
        Assert.Equal(["pads-and-skips-alike not_supported", "waits-for-nothing not_supported"], outcomes.Where(outcome => !outcome.EndsWith(" passed", StringComparison.Ordinal)));
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

    [Theory]
    [InlineData(3, "'nope' could not be loaded as a backend", "verify", "nope")]
    [InlineData(2, "'no/such.dll' is not a file", "verify", "no/such.dll")]
    [InlineData(2, "--rule is 'made-up'", "verify", "Cpu", "--rule", "made-up")]
    [InlineData(2, "--expect-failure is 'made-up'", "verify", "Cpu", "--expect-failure", "made-up")]
    public async Task What_cannot_be_verified_is_named(int exitCode, string message, params string[] arguments)
    {
        Cli result = await Cli.Run(arguments);

        Assert.Equal(exitCode, result.ExitCode);
        Assert.Contains(message, result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_rule_that_is_listed_as_broken_and_is_kept_is_a_fault()
    {
        Cli result = await Cli.Run("verify", "Cpu", "--rule", "no-tokens", "--expect-failure", "no-tokens");

        Assert.Equal(1, result.ExitCode);
        Assert.Contains("unexpected pass", result.Output, StringComparison.Ordinal);
    }
}
