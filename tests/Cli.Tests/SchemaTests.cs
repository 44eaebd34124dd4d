using System.Text.Json;
using Json.Schema;

namespace Moe.Plugins.Cli.Tests;

/// <summary>What commands print under --json is what docs/cli.schema.json says.</summary>
public sealed class SchemaTests : IDisposable
{
    private static readonly string File = Path.Combine(Repository.Root, "docs", "cli.schema.json");

    private readonly TemporaryFolder _folder = new();

    public static TheoryData<string, string> Commands => new()
    {
        { "run", "run" },
        { "run", "run --shape 8,96,64,2" },
        { "backends", "backends" },
        { "inspect", "inspect GOLDEN/tiny.safetensors" },
        { "verify", "verify Cpu --rule no-tokens" },
        { "plugins_trust", "plugins trust CPU --lock OUT/lock.json --yes" },
        { "bench", "bench --backend Cpu --shape 8,96,64,2 --tokens 1 --seconds 0.01 --output OUT/r.json" },
        { "bench_compare", "bench compare RESULT RESULT" },
        { "bench_plot", "bench plot RESULT --output OUT/r.png" },
        { "bench_readme", "bench readme RESULT --readme README" },
        { "new", "new Contoso.Try --output OUT/try" },
        { "make_model", "make-model OUT/model" },
        { "bench_model", "bench model --prompt 4 --batch 1,2 --context-tokens 4 --seconds 0.01 --output OUT/m.json --plot OUT/m.png" },
        { "generate", "generate --prompt-ids 1,2,3 --max-tokens 4" },
        { "generate", "generate --prompt Hello --max-tokens 4" },
        { "error", "run --model /none.safetensors" },
        { "error", "run --frob" },
        { "error", "frob" },
        { "error", "run --backend Nobody" },
        { "error", "kernels --backend Cpu" },
        { "error", "inspect" },
        { "error", "plugins release Nobody" },
        { "error", "plugins trust CPU --lock OUT/lock.json" },
        { "error", "bench compare /none.json /none.json" },
    };

    [Theory]
    [MemberData(nameof(Commands))]
    public async Task One_object_is_printed_and_fits_its_schema(string name, string command)
    {
        string result = _folder.File("result.json");
        Results.Of(Results.Row(1, 40), Results.Row(2, 80).Wrong()).Save(result);
        string readme = _folder.File("README.md");
        await System.IO.File.WriteAllTextAsync(readme, $"{ReadmeSection.Begin}\n{ReadmeSection.End}\n", TestContext.Current.CancellationToken);
        string[] arguments =
        [
            .. command
                .Replace("GOLDEN", Path.Combine(AppContext.BaseDirectory, "golden"), StringComparison.Ordinal)
                .Replace("CPU", Path.Combine(AppContext.BaseDirectory, "plugins", "Cpu"), StringComparison.Ordinal)
                .Replace("OUT", _folder.Path, StringComparison.Ordinal)
                .Replace("RESULT", result, StringComparison.Ordinal)
                .Replace("README", readme, StringComparison.Ordinal)
                .Split(' '),
            "--json",
        ];
        Cli cli = await Cli.Run(arguments);
        Check(name, cli.Output);
        Assert.Equal(name == "error", cli.ExitCode != 0);
        if (name == "error")
        {
            Assert.Equal(cli.ExitCode, JsonDocument.Parse(cli.Output).RootElement.GetProperty("exit_code").GetInt32());
            Assert.StartsWith("error: ", cli.Error, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_benchmark_that_ends_early_prints_its_rows_and_why_in_one_object()
    {
        Bench bench = await Bench.Run<HotPlugin>(asJson: true);
        Check("bench", bench.Output);
        JsonElement json = JsonDocument.Parse(bench.Output).RootElement;
        Assert.Equal(ExitCode.Throttled, json.GetProperty("exit_code").GetInt32());
        Assert.Single(json.GetProperty("rows").EnumerateArray());
    }

    [Fact]
    public async Task Committed_results_fit_it()
    {
        foreach (string file in Directory.GetFiles(Path.Combine(Repository.Root, "bench", "results"), "*.json"))
        {
            Check("bench", await System.IO.File.ReadAllTextAsync(file, TestContext.Current.CancellationToken));
        }

        foreach (string file in Directory.GetFiles(Path.Combine(Repository.Root, "bench", "padding"), "*.json"))
        {
            Check("bench_padding", await System.IO.File.ReadAllTextAsync(file, TestContext.Current.CancellationToken));
        }

        foreach (string file in Directory.GetFiles(Path.Combine(Repository.Root, "bench", "model"), "*.json"))
        {
            string name = Path.GetFileName(file).StartsWith("experiment-", StringComparison.Ordinal) ? "bench_experiment" : "bench_model";
            Check(name, await System.IO.File.ReadAllTextAsync(file, TestContext.Current.CancellationToken));
        }
    }

    public void Dispose() => _folder.Dispose();

    internal static void Check(string name, string json)
    {
        JsonElement all = JsonDocument.Parse(System.IO.File.ReadAllText(File)).RootElement;
        var schema = JsonSchema.FromText($$"""{ "$ref": "#/$defs/{{name}}", "$defs": {{all.GetProperty("$defs").GetRawText()}} }""");
        EvaluationResults results = schema.Evaluate(JsonDocument.Parse(json).RootElement, new EvaluationOptions { OutputFormat = OutputFormat.List });
        string errors = string.Join('\n', (results.Details ?? []).Where(detail => detail.Errors is not null)
            .SelectMany(detail => detail.Errors!.Select(error => $"{detail.InstanceLocation}: {error.Value}")));
        Assert.True(results.IsValid, $"{errors}\n{json}");
    }
}
