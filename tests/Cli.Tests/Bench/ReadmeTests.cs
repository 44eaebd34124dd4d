namespace Moe.Plugins.Cli.Tests;

public sealed class ReadmeTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Fact]
    public void The_documentation_says_what_the_committed_results_say()
    {
        string docs = Path.Combine(Repository.Root, "docs");
        string[] results = Files("bench/results");
        Assert.NotEmpty(results);
        string expected = PerformanceText.Write(
            [.. results.Select(file => ResultFile.Load(file, docs))],
            [.. Files("bench/peers").Select(PeerFigures.Load)],
            [.. Files("bench/padding").Select(file => PaddingFile.Load(file, docs))]);
        string section = ReadmeSection.Read(Path.Combine(docs, "performance.md"));
        Assert.True(
            expected == section,
            "docs/performance.md's generated section is not what its command generates: moe bench readme bench/results/*.json --peers bench/peers/*.json --padding bench/padding/*.json");
    }

    [Fact]
    public void The_readmes_figures_are_rows_of_those_tables()
    {
        string readme = File.ReadAllText(Path.Combine(Repository.Root, "README.md"));
        string section = ReadmeSection.Read(Path.Combine(Repository.Root, "docs", "performance.md"));
        string[] rows = [.. readme.Split("## Figures")[1].Split("\n## ")[0].Split('\n').Where(line => line.StartsWith('|'))];

        Assert.True(rows.Length > 4);
        Assert.All(rows, row => Assert.Contains(row, section, StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_section_is_replaced_and_nothing_else()
    {
        string readme = _folder.File("README.md");
        Write(readme, $"before\n\n{ReadmeSection.Begin}\nold\n{ReadmeSection.End}\n\nafter\n");
        Results.Of(Results.Row(1, 40), Results.Row(2, 80).Wrong(), Results.Row(1, 90, weights: "bf16")).Save(_folder.File("r.json"));
        for (int i = 0; i < 2; i++)
        {
            Cli result = await Cli.Run("bench", "readme", _folder.File("r.json"), "--readme", readme, "--peers", PeerTests.File);
            Assert.True(result.ExitCode == 0, result.Error);
        }

        string text = await File.ReadAllTextAsync(readme, TestContext.Current.CancellationToken);
        Assert.StartsWith($"before\n\n{ReadmeSection.Begin}\n", text, StringComparison.Ordinal);
        Assert.EndsWith($"\n{ReadmeSection.End}\n\nafter\n", text, StringComparison.Ordinal);
        Assert.DoesNotContain("old", text, StringComparison.Ordinal);
        Assert.Contains("### NVIDIA H100 80GB HBM3, 2026-11-23", text, StringComparison.Ordinal);
        Assert.Contains("| 1 | 20.0 | 40.0 ± 1.00 | 2.00 | 3.05 (ggml) |", text, StringComparison.Ordinal);
        Assert.Contains("| 2 | 40.0 | wrong | |", text, StringComparison.Ordinal);
        Assert.Contains("| 1 | 45.0 | 90.0 ± 1.00 | 2.00 | 2.24 (torch) |", text, StringComparison.Ordinal);
        Assert.DoesNotContain("![", text, StringComparison.Ordinal);
        Assert.Contains("weights rotated over four copies", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_picture_beside_a_result_is_shown()
    {
        string readme = _folder.File("README.md");
        Write(readme, $"{ReadmeSection.Begin}\n{ReadmeSection.End}\n");
        string json = Path.Combine(Directory.CreateDirectory(_folder.File("results")).FullName, "r.json");
        Results.Of(Results.Row(1, 40), Results.Row(2, 50)).Save(json);
        await Cli.Run("bench", "plot", json);
        Assert.Equal(0, (await Cli.Run("bench", "readme", json, "--readme", readme)).ExitCode);
        Assert.Contains(
            "![NVIDIA H100 80GB HBM3, 2026-11-23](results/r.png)",
            await File.ReadAllTextAsync(readme, TestContext.Current.CancellationToken),
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("nothing")]
    [InlineData($"{ReadmeSection.End} {ReadmeSection.Begin}")]
    [InlineData($"{ReadmeSection.Begin} {ReadmeSection.Begin} {ReadmeSection.End}")]
    public async Task A_readme_without_the_marks_is_left_alone(string text)
    {
        string readme = _folder.File("README.md");
        Write(readme, text);
        Results.Of(Results.Row(1, 40)).Save(_folder.File("r.json"));
        Cli result = await Cli.Run("bench", "readme", _folder.File("r.json"), "--readme", readme);
        Assert.Equal(ExitCode.BadInput, result.ExitCode);
        Assert.Contains(ReadmeSection.Begin, result.Error, StringComparison.Ordinal);
        Assert.Equal(text, await File.ReadAllTextAsync(readme, TestContext.Current.CancellationToken));
    }

    public void Dispose() => _folder.Dispose();

    private static void Write(string path, string text) => File.WriteAllText(path, text);

    private static string[] Files(string folder) =>
        Directory.Exists(Path.Combine(Repository.Root, folder))
            ? [.. Directory.GetFiles(Path.Combine(Repository.Root, folder), "*.json").Order(StringComparer.Ordinal)]
            : [];
}
