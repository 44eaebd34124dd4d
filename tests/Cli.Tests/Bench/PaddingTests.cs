using Microsoft.Extensions.DependencyInjection;
using SkiaSharp;

namespace Moe.Plugins.Cli.Tests;

public sealed class PaddingTests : IDisposable
{
    /// <summary>Copies of so small a layer: the most, and on a processor as many forwards in a recording.</summary>
    private const int Forwards = 32;

    private readonly TemporaryFolder _folder = new();

    [Fact]
    public async Task Both_ways_are_measured_and_told_apart_by_the_hosts_copies()
    {
        Outcome outcome = await Run<PaddingPlugin>();

        Assert.Equal((0, ""), (outcome.ExitCode, outcome.Error));
        Assert.Equal([1, 3], outcome.Result!.Rows.Select(row => row.Tokens));
        Assert.Equal(("fake device", "1.2"), (outcome.Result.Device, outcome.Result.Driver));
        foreach (PaddingRow row in outcome.Result.Rows)
        {
            // Two copies of 96 BF16 values a token, read and written.
            Assert.Equal(2 * 2 * 96 * 2 * row.Tokens, row.SavedBytes);
            Assert.True(row.Right);
            Assert.Equal(2 * FakeInstruments.CopyTime, row.SavedMicroseconds!.Value, 1e-9);
            Assert.Equal(0, row.SavedSpread!.Value, 1e-9);
            Assert.Equal(2 * FakeInstruments.CopyTime, row.Padded.Microseconds!.Value - row.Skipping.Microseconds!.Value, 1e-2);
            Assert.InRange(row.Skipping.Microseconds.Value * Forwards, FakeInstruments.FirstTime + 3, FakeInstruments.FirstTime + 50);

            // The host's two buffers, of the padded width and the most tokens.
            Assert.Equal(2 * 128 * 2 * 3, row.Padded.WorkspaceBytes - row.Skipping.WorkspaceBytes);
        }

        Assert.All(["skipping µs", "saved", "8,96,64,2", "768 B"], word => Assert.Contains(word, outcome.Output, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Another_result_with_padding_is_wrong_and_not_timed()
    {
        Outcome outcome = await Run<MindingPlugin>();

        Assert.Equal(ExitCode.Wrong, outcome.ExitCode);
        Assert.Contains("WRONG", outcome.Output, StringComparison.Ordinal);
        Assert.All(outcome.Result!.Rows, row => Assert.True(row is { Right: false, SavedMicroseconds: null, RelativeError: < 4e-3 }));
    }

    [Fact]
    public async Task The_same_wrong_result_both_ways_is_wrong()
    {
        Outcome outcome = await Run<WrongPaddingPlugin>();

        Assert.Equal(ExitCode.Wrong, outcome.ExitCode);
        Assert.All(outcome.Result!.Rows, row => Assert.False(row.Right));
    }

    [Fact]
    public async Task A_backend_that_pads_nothing_is_refused()
    {
        Outcome outcome = await Run<RightPlugin>();

        Assert.Equal(ExitCode.BadInput, outcome.ExitCode);
        Assert.Contains("nothing to compare", outcome.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_device_that_is_held_back_is_not_measured() =>
        Assert.Equal(ExitCode.Throttled, (await Run<BrakedPlugin>()).ExitCode);

    [Fact]
    public async Task The_command_names_what_it_lacks()
    {
        Cli cpu = await Cli.Run("bench", "padding", "--backend", "Cpu", "--shape", "8,96,64,2", "--tokens", "1");
        Assert.Equal(ExitCode.BadInput, cpu.ExitCode);
        Assert.Contains("nothing to compare", cpu.Error, StringComparison.Ordinal);

        Cli none = await Cli.Run("bench", "padding", "--backend", "Nobody");
        Assert.Equal(ExitCode.NoBackend, none.ExitCode);
        Assert.StartsWith("error: --backend names the backend 'Nobody', which was not found.", none.Error, StringComparison.Ordinal);

        Cli byDefault = await Cli.Run("bench", "padding", "--device", "cpu");
        Assert.Equal(ExitCode.NoBackend, byDefault.ExitCode);
        Assert.StartsWith("error: Backend Mxfp4.Sm100, which the default of --backend names, cannot run the layer", byDefault.Error, StringComparison.Ordinal);

        Cli help = await Cli.Run("bench", "padding", "--help");
        Assert.All(["Mxfp4.Sm100", "gpt-oss-120b", "4096"], word => Assert.Contains(word, help.Output, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Its_result_comes_behind_the_others_in_a_readme()
    {
        string json = _folder.File("p.json");
        PaddingRow right = Row(1, 60, 55.5);
        PaddingRow wrong = Row(2, 0, 0) with { Right = false, SavedMicroseconds = null };
        var result = new PaddingResult { Date = "2026-11-23T10:00:00Z", Device = "NVIDIA H100", Seed = 1, Version = "0.1.0", Rows = [right, wrong, Row(4, 80, 78)] };
        result.Save(json);
        Assert.Equal(ExitCode.Ok, (await Cli.Run("bench", "plot", json, "--output", _folder.File("p.png"))).ExitCode);
        Results.Of(Results.Row(1, 40)).Save(_folder.File("r.json"));
        string readme = _folder.File("README.md");
        await File.WriteAllTextAsync(readme, $"{ReadmeSection.Begin}\n{ReadmeSection.End}\n", TestContext.Current.CancellationToken);

        Cli cli = await Cli.Run("bench", "readme", _folder.File("r.json"), "--padding", json, "--readme", readme);

        Assert.True(cli.ExitCode == 0, cli.Error);
        string text = await File.ReadAllTextAsync(readme, TestContext.Current.CancellationToken);
        Assert.Contains("### Padded by the host or not at all: NVIDIA H100, 2026-11-23", text, StringComparison.Ordinal);
        Assert.Contains("![Saved by not padding, NVIDIA H100, 2026-11-23](p.png)", text, StringComparison.Ordinal);
        Assert.Contains("| 1 | 60.0 ± 0.5 | 8 | 55.5 ± 0.5 | 6 | 4.5 ± 0.3 | 7.5 % | 23 kB |", text, StringComparison.Ordinal);
        Assert.Contains("| 2 | wrong |", text, StringComparison.Ordinal);
        Assert.True(text.IndexOf("Padded by the host", StringComparison.Ordinal) > text.IndexOf("H100 80GB", StringComparison.Ordinal));

        using var picture = SKBitmap.Decode(_folder.File("p.png"));
        Assert.True(picture.Pixels.Distinct().Count() > 50, "There is next to nothing in the picture.");
    }

    public void Dispose() => _folder.Dispose();

    private static PaddingRow Row(int tokens, double padded, double skipping) => new()
    {
        Backend = "Mxfp4.Sm100",
        Shape = "gpt-oss-20b",
        Tokens = tokens,
        Padded = new PaddingSide { Microseconds = padded, Spread = 0.5, Kernels = 8, WorkspaceBytes = 2 },
        Skipping = new PaddingSide { Microseconds = skipping, Spread = 0.5, Kernels = 6, WorkspaceBytes = 1 },
        SavedMicroseconds = padded - skipping,
        SavedSpread = 0.25,
        SavedBytes = 23040 * tokens,
        RelativeError = 3e-2,
        Right = true,
    };

    private async Task<Outcome> Run<TPlugin>()
        where TPlugin : IMoePlugin, new()
    {
        string json = _folder.File("result.json");
        var services = new ServiceCollection();
        services.AddMoeBackend<RightPlugin>().AddBackend<TPlugin>("It");
        await using ServiceProvider provider = services.BuildServiceProvider();
        using var output = new StringWriter();
        using var error = new StringWriter();
        using var console = new CommandConsole(output, error);
        BenchSettings settings = Bench.Settings with { Backends = ["It"], OutputPath = json, PlotPath = _folder.File("result.png") };
        int exitCode;
        try
        {
            exitCode = PaddingCommand.Execute(provider.GetRequiredService<MoeHost>(), settings, console, TestContext.Current.CancellationToken);
        }
        catch (CommandException exception)
        {
            console.WriteError(exception.ExitCode, exception.Message);
            exitCode = exception.ExitCode;
        }

        return new Outcome(exitCode, output.ToString(), error.ToString(), File.Exists(json) ? PaddingResult.Load(json) : null);
    }

    private sealed record Outcome(int ExitCode, string Output, string Error, PaddingResult? Result);
}
