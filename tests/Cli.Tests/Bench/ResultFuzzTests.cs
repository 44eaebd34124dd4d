using System.Text;
using Moe.Plugins.Fuzz;

namespace Moe.Plugins.Cli.Tests;

/// <summary>Results and figures that somebody else measured are read and compared, or refused, whatever is in them.</summary>
public sealed class ResultFuzzTests : IDisposable
{
    /// <summary>The first reading of a kind makes its serializer.</summary>
    private const long Allowance = 16 << 20;

    private static readonly byte[][] Words =
    [
        .. ((string[])["{", "}", "[", "]", ",", ":", "null", "-1", "1e308", "1e999", "\"\"", "\"x\"", "true", "rows", "peers", "shape", "weights", "2147483647", "gpt-oss-20b:bf16"])
            .Select(Encoding.UTF8.GetBytes),
    ];

    private readonly TemporaryFolder _folder = new();
    private readonly ITestOutputHelper _output;

    public ResultFuzzTests(ITestOutputHelper output) => _output = output;

    [Fact]
    public void Results()
    {
        string path = Path.Combine(_folder.Path, "result.json");
        Fuzzer.Run(
            [Encoding.UTF8.GetBytes(Short(Directory.GetFiles(Path.Combine(Repository.Root, "bench", "results"), "amd-*.json")[0], "rows"))],
            Words,
            input =>
            {
                File.WriteAllBytes(path, input);
                var result = BenchResult.Load(path);
                _ = RowChange.Between(result, result).Count;
            },
            _output,
            allowance: Allowance);
    }

    [Fact]
    public void Figures_of_others()
    {
        string path = Path.Combine(_folder.Path, "peers.json");
        Fuzzer.Run(
            [File.ReadAllBytes(Directory.GetFiles(Path.Combine(Repository.Root, "bench", "peers"), "*.json")[0])],
            Words,
            input =>
            {
                File.WriteAllBytes(path, input);
                var figures = PeerFigures.Load(path);
                _ = figures.Points("gpt-oss-20b", "mxfp4").Count() + (figures.IsOf("NVIDIA H100 80GB") ? 1 : 0);
            },
            _output,
            allowance: Allowance);
    }

    public void Dispose() => _folder.Dispose();

    // One row says as much as forty.
    private static string Short(string file, string list)
    {
        var root = System.Text.Json.Nodes.JsonNode.Parse(File.ReadAllText(file))!.AsObject();
        System.Text.Json.Nodes.JsonArray rows = root[list]!.AsArray();
        while (rows.Count > 2)
        {
            rows.RemoveAt(2);
        }

        return root.ToJsonString();
    }
}
