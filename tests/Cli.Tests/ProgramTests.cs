using System.Diagnostics;
using System.Text.Json;

namespace Moe.Plugins.Cli.Tests;

/// <summary>The program as a shell sees it.</summary>
public sealed class ProgramTests
{
    [Fact]
    public async Task The_default_run_prints_one_object_and_ends_with_0()
    {
        CancellationToken cancellation = TestContext.Current.CancellationToken;
        string program = Path.Combine(AppContext.BaseDirectory, "Moe.Plugins.Cli.dll");
        using Process process = Process.Start(new ProcessStartInfo("dotnet", [program, "run", "--json"])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        string output = await process.StandardOutput.ReadToEndAsync(cancellation);
        string error = await process.StandardError.ReadToEndAsync(cancellation);
        await process.WaitForExitAsync(cancellation);
        Assert.True(process.ExitCode == 0, error);
        Assert.Equal(JsonValueKind.Object, JsonDocument.Parse(output).RootElement.ValueKind);
        Assert.Equal("", error);
    }
}
