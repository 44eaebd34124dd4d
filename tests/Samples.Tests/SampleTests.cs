using System.Diagnostics;

namespace Moe.Plugins.Samples.Tests;

/// <summary>The samples do what the readme says of them.</summary>
public sealed class SampleTests
{
    /// <summary>What the interop sample ends with where there is no CUDA device.</summary>
    private const int NoDevice = 3;

    [Theory]
    [InlineData("MinimalHost", "17 tokens of 320 values, the first: ")]
    [InlineData("OwnRouter", "Token 0 went to experts ")]
    [InlineData("Chat", "> What is a mixture of experts?", " tokens read, 0 of them known; ")]
    [InlineData("Telemetry", "Metric Name: moe.plugins.loads", "Metric Name: moe.plugins.selections", "Metric Name: moe.plugins.forwards", "Metric Name: moe.plugins.tokens", "Value: 51")]
    public async Task A_sample_runs(string name, params string[] expected)
    {
        (int exitCode, string output) = await RunAsync(name);

        Assert.True(exitCode == 0, output);
        Assert.All(expected, text => Assert.Contains(text, output, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Another_librarys_buffers_hold_the_right_result()
    {
        (int exitCode, string output) = await RunAsync("Interop");

        Assert.SkipWhen(exitCode == NoDevice, output.Trim());
        Assert.True(exitCode == 0, output);
        Assert.Contains("right:", output, StringComparison.Ordinal);
    }

    private static async Task<(int ExitCode, string Output)> RunAsync(string name)
    {
        // bin/<configuration>/<framework> of the tests, and so of the samples.
        var own = new DirectoryInfo(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
        string root = own.Parent!.Parent!.Parent!.Parent!.Parent!.FullName;
        string program = Path.Combine(root, "samples", name, "bin", own.Parent.Name, own.Name, name + ".dll");

        // The readme's program is handed a file; the others have what they need beside them.
        string[] arguments = name == "MinimalHost" ? [program, Path.Combine(root, "tests", "golden", "pad-hidden.safetensors")] : [program];
        var start = new ProcessStartInfo("dotnet", arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        Task<string> error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return (process.ExitCode, await output + await error);
    }
}
