namespace Moe.Plugins.Cli.Tests;

public sealed class CompareTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Theory]
    [InlineData(100, 1, 101.9, 1, ExitCode.Ok)]
    [InlineData(100, 1, 102.1, 1, ExitCode.Wrong)]
    [InlineData(100, 1, 102.1, 2, ExitCode.Ok)]
    [InlineData(100, 3, 102.1, 0, ExitCode.Ok)]
    [InlineData(100, 1, 50, 1, ExitCode.Ok)]
    public async Task Slower_beyond_both_spreads_is_a_regression(double before, double spreadBefore, double after, double spreadAfter, int exitCode)
    {
        Cli result = await Compare(Results.Of(Results.Row(1, before, spreadBefore)), Results.Of(Results.Row(1, after, spreadAfter)));
        Assert.Equal(exitCode, result.ExitCode);
        Assert.Equal(exitCode == ExitCode.Wrong, result.Output.Contains("worse\n", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_row_that_is_no_longer_right_is_a_regression()
    {
        BenchRow row = Results.Row(1, 100);
        Assert.Equal(ExitCode.Wrong, (await Compare(Results.Of(row), Results.Of(row.Wrong()))).ExitCode);
        Assert.Equal(ExitCode.Ok, (await Compare(Results.Of(row.Wrong()), Results.Of(row))).ExitCode);
        Assert.Equal(ExitCode.Ok, (await Compare(Results.Of(row.Wrong()), Results.Of(row.Wrong()))).ExitCode);
    }

    [Fact]
    public async Task Only_rows_of_one_kind_are_compared()
    {
        BenchResult before = Results.Of(Results.Row(1, 100), Results.Row(2, 100, weights: "bf16"), Results.Row(4, 100, backend: "Other"));
        BenchResult after = Results.Of(Results.Row(1, 90), Results.Row(2, 200), Results.Row(4, 200), Results.Row(8, 200));
        Cli result = await Compare(before, after);
        Assert.Equal(ExitCode.Ok, result.ExitCode);
        Assert.Contains("one row: 0 worse, 1 better", result.Output, StringComparison.Ordinal);
        Assert.Contains("-10.0", result.Output, StringComparison.Ordinal);
        Assert.Equal(ExitCode.BadInput, (await Compare(before, Results.Of(Results.Row(64, 1)))).ExitCode);
    }

    [Fact]
    public async Task A_device_that_rested_is_said_to_be_no_match_for_one_under_load()
    {
        BenchResult before = Results.Of(Results.Row(1, 100));
        Assert.DoesNotContain("note:", (await Compare(before, before)).Output, StringComparison.Ordinal);
        Cli result = await Compare(before, before with { Rest = 50 });
        Assert.Contains("B: NVIDIA H100 80GB HBM3, 2026-11-23T10:00:00Z, uniform routing, 50 ms of rest before each replay", result.Output, StringComparison.Ordinal);
        Assert.Contains("the two differ in device, routing or rest", result.Output, StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Dispose();

    private async Task<Cli> Compare(BenchResult before, BenchResult after)
    {
        before.Save(_folder.File("a.json"));
        after.Save(_folder.File("b.json"));
        return await Cli.Run("bench", "compare", _folder.File("a.json"), _folder.File("b.json"));
    }
}
