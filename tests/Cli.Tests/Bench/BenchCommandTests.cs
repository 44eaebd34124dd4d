using System.Text.Json;

namespace Moe.Plugins.Cli.Tests;

public sealed class BenchCommandTests : IDisposable
{
    private static readonly string[] FileKeys = ["date", "device", "driver", "throttle", "copy_gbps", "matrix_tflops", "rows"];

    private static readonly string[] RowKeys =
    [
        "backend", "shape", "tokens", "microseconds", "spread", "floor_microseconds", "ratio_to_floor", "gbps", "tflops", "kernels",
        "weight_bytes", "workspace_bytes", "relative_error",
    ];

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string, string> BadInput => new()
    {
        { "bench --tokens 1,x", "--tokens has 'x'" },
        { "bench --tokens 0", "--tokens has '0'" },
        { "bench --shape 1,2", "'1,2' is not a shape" },
        { "bench --weights fp8", "'fp8' is not a weight format" },
        { "bench --seconds 0", "--seconds is '0'" },
        { "bench --replays 1", "--replays is '1'" },
        { "bench --output /none/x.json", "/none/x.json" },
        { "bench --plot /none/x.png", "/none/x.png" },
        { "bench --peers /none.json", "/none.json" },
        { "bench --routing /none.safetensors --shape 8,96,64,2 --tokens 1", "/none.safetensors" },
        { "bench compare /none.json /none.json", "/none.json" },
        { "bench compare", "bench compare --help" },
        { "bench plot /none.json", "/none.json" },
        { "bench readme /none.json", "/none.json" },
    };

    [Fact]
    public async Task The_cpu_is_measured()
    {
        string json = _folder.File("cpu.json");
        string png = _folder.File("cpu.png");
        string[] arguments =
        [
            "bench", "--backend", "cpu", "--shape", "8,288,352,2", "--shape", "4,96,64,2:bf16", "--tokens", "4,1", "--tokens", "1",
            "--seconds", "0.01", "--output", json, "--plot", png,
        ];
        Cli result = await Cli.Run(arguments);
        Assert.True(result.ExitCode == 0, result.Error + result.Output);
        Assert.Equal("", result.Error);
        Assert.All(["Cpu", "÷ floor", "GB/s", "8,288,352,2", "bf16 weights"], word => Assert.Contains(word, result.Output, StringComparison.Ordinal));
        JsonElement root = JsonDocument.Parse(await File.ReadAllTextAsync(json, TestContext.Current.CancellationToken)).RootElement;
        Assert.All(FileKeys, key => Assert.True(root.TryGetProperty(key, out _), $"'{key}' is missing."));
        JsonElement[] rows = [.. root.GetProperty("rows").EnumerateArray()];
        Assert.Equal(4, rows.Length);
        Assert.All(rows, row =>
        {
            Assert.All(RowKeys, key => Assert.True(row.TryGetProperty(key, out _), $"'{key}' is missing."));
            Assert.True(row.GetProperty("microseconds").GetDouble() > 0);
            Assert.True(row.GetProperty("floor_microseconds").GetDouble() > 0);
            Assert.InRange(row.GetProperty("relative_error").GetDouble(), 0, 4e-3);
        });
        Assert.True(root.GetProperty("read_gbps").GetDouble() > 0);
        Assert.True(root.GetProperty("matrix_tflops").GetDouble() > 0);
        Assert.True(File.Exists(png));
        Assert.Equal(2, Directory.GetFileSystemEntries(_folder.Path).Length);
    }

    [Theory]
    [MemberData(nameof(BadInput))]
    public async Task Bad_input_is_named(string arguments, string word)
    {
        Cli result = await Cli.Run(arguments.Split(' '));
        Assert.Equal(ExitCode.BadInput, result.ExitCode);
        Assert.Contains(word, result.Error, StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_backend_that_is_named_must_be_there()
    {
        Cli result = await Cli.Run("bench", "--backend", "Cpux");
        Assert.Equal(ExitCode.NoBackend, result.ExitCode);
        Assert.Contains("Cpux", result.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_that_is_no_result_is_named()
    {
        string file = _folder.File("x.json");
        await File.WriteAllTextAsync(file, "{ \"rows\": [] }", TestContext.Current.CancellationToken);
        Cli result = await Cli.Run("bench", "plot", file);
        Assert.Equal(ExitCode.BadInput, result.ExitCode);
        Assert.Contains(file, result.Error, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Dispose();
}
