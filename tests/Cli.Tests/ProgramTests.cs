using System.Diagnostics;
using System.Text.Json;
using Moe.Plugins.Tests;

namespace Moe.Plugins.Cli.Tests;

/// <summary>The program as a shell sees it.</summary>
public sealed class ProgramTests
{
    [Fact]
    public async Task The_default_run_prints_one_object_and_ends_with_0() =>
        Assert.Equal(JsonValueKind.Object, (await Cli.RunProgram("run", "--json")).Json().ValueKind);

    /// <summary>What cannot be written to, on either stream, is a sentence on the other one and an exit code.</summary>
    [Theory]
    [InlineData("backends > /dev/full", "standard output cannot be written to: No space left on device")]
    [InlineData("run --json > /dev/full", "standard output cannot be written to: No space left on device")]
    [InlineData("--help > /dev/full", "standard output cannot be written to: No space left on device")]
    [InlineData("backends >&-", "standard output cannot be written to: ")]
    [InlineData("run --shape nonsense 2> /dev/full", "")]
    [InlineData("run --shape nonsense 2>&-", "")]
    [InlineData("run --json > /dev/full 2>&1", "")]
    public async Task A_stream_that_is_full_or_closed_is_said(string command, string expected)
    {
        Assert.SkipUnless(File.Exists("/dev/full"), "There is no /dev/full here.");
        string program = Path.Combine(AppContext.BaseDirectory, "Moe.Plugins.Cli.dll");
        using Process process = Process.Start(new ProcessStartInfo("bash", ["-c", $"dotnet '{program}' {command}"]) { RedirectStandardError = true, RedirectStandardOutput = true })!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        string error = await process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(ExitCode.BadInput, process.ExitCode);
        Assert.Contains(expected, error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", error + await output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(3, 1)]
    [InlineData(1, 1, "--tensor-parallel", "1")]
    [InlineData(1, 1, "--devices", "cpu")]
    [InlineData(1, 2, "--expert-parallel", "2")]
    public async Task Ranks_of_the_command_line_count_before_those_of_the_environment(int tensor, int expert, params string[] said)
    {
        (string, string)[] environment = [("Moe__Parallel__Tensor", "3"), ("Moe__Parallel__Devices", "cpu,cpu,cpu")];
        JsonElement json = (await Cli.RunProgramIn(environment, ["run", "--backend", "Cpu", "--json", .. said])).Json();
        Assert.Equal((tensor, expert), (json.GetProperty("tensor_parallel").GetInt32(), json.GetProperty("expert_parallel").GetInt32()));
        Assert.True(json.GetProperty("passed").GetBoolean());
    }

    [Fact]
    public async Task A_whole_model_is_on_the_only_rank_s_device()
    {
        Cli result = await Cli.RunProgramIn([("Moe__Parallel__Devices", "cpu")], "generate", "--max-tokens", "2");
        Assert.True(result.ExitCode == 0, result.Error);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true, "--tensor-parallel", "1")]
    [InlineData(true, "--devices", "cpu,cpu", "--tensor-parallel", "2")]
    public async Task So_do_those_of_a_whole_model(bool works, params string[] said)
    {
        // Nobody has a group of these.
        (string, string)[] environment = [("Moe__Parallel__Tensor", "2"), ("Moe__Parallel__Devices", "cpu,cuda:99")];
        Cli result = await Cli.RunProgramIn(environment, ["generate", "--backend", "Cpu", "--max-tokens", "2", .. said]);
        Assert.True((result.ExitCode == 0) == works, result.Error);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Processes_that_a_launcher_started_run_one_layer_and_the_first_speaks(bool isSaidInTheEnvironment)
    {
        const int Ranks = 2;
        CancellationToken cancellation = TestContext.Current.CancellationToken;
        string program = Path.Combine(AppContext.BaseDirectory, "Moe.Plugins.Cli.dll");
        int port = FreePort.Find();
        Process[] processes = [.. Enumerable.Range(0, Ranks).Select(rank =>
        {
            string[] said = isSaidInTheEnvironment ? [] : ["--expert-parallel", $"{Ranks}"];
            var start = new ProcessStartInfo("dotnet", [program, "run", "--backend", "Cpu", "--json", .. said]) { RedirectStandardOutput = true, RedirectStandardError = true };
            foreach ((string name, string value) in new[]
            {
                ("Moe__Parallel__Expert", isSaidInTheEnvironment ? $"{Ranks}" : "1"), ("Moe__Parallel__Launcher", "Torchrun"), ("RANK", $"{rank}"), ("WORLD_SIZE", $"{Ranks}"),
                ("LOCAL_RANK", $"{rank}"), ("MASTER_ADDR", "localhost"), ("MASTER_PORT", $"{port - 1}"),
            })
            {
                start.Environment[name] = value;
            }

            return Process.Start(start)!;
        })];
        string[] outputs = [.. processes.Select(process => process.StandardOutput.ReadToEnd())];
        foreach (Process process in processes)
        {
            await process.WaitForExitAsync(cancellation);
            Assert.True(process.ExitCode == 0, await process.StandardError.ReadToEndAsync(cancellation));
            process.Dispose();
        }

        JsonElement json = JsonDocument.Parse(outputs[0]).RootElement;
        Assert.Equal(Ranks, json.GetProperty("expert_parallel").GetInt32());
        Assert.True(json.GetProperty("passed").GetBoolean());
        Assert.Equal("", outputs[1]);
    }
}
