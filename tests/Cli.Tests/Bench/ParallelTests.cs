using System.Text.Json;

namespace Moe.Plugins.Cli.Tests;

/// <summary>`moe bench parallel`: the table of plans that it writes, and pictures that cannot be drawn.</summary>
public sealed class ParallelTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Fact]
    public void The_fastest_plan_of_each_size_becomes_an_entry_and_neighbours_one()
    {
        ParallelResult result = Result(ranks: 4,
        [
            Row(1, "push:1", 3), Row(1, "pull:1", 4),
            Row(8, "push:1", 5), Row(8, "pull:1", 6),
            Row(64, "push:1", 9), Row(64, "pull:1", 8),
            Row(512, "push:1", 90), Row(512, "pull:1", null), Row(512, "twopull:1", 70),
        ]);

        Assert.Equal(
            [new PlanTable.Entry(4, 8 * 96 * 2, "push:1"), new(4, 64 * 96 * 2, "pull:1"), new(4, null, "twopull:1")],
            PlanTable.Choose(result, result.Reductions.Select(row => (row.Tokens, row.Plan, row.Microseconds))));
    }

    [Fact]
    public void A_table_keeps_what_it_has_of_other_ranks()
    {
        string path = _folder.File("table.json");
        PlanTable.Save(path, Result(ranks: 4, [Row(1, "push:1", 3)]));
        PlanTable.Save(path, Result(ranks: 2, [Row(1, "pull:1", 3)]));
        PlanTable.Save(path, Result(ranks: 4, [Row(1, "twopull:1", 3)]));

        JsonElement[] entries = [.. JsonDocument.Parse(File.ReadAllText(path)).RootElement.GetProperty("reductions").EnumerateArray()];

        Assert.Equal([(2, "pull:1"), (4, "twopull:1")], entries.Select(entry => (entry.GetProperty("ranks").GetInt32(), entry.GetProperty("plan").GetString())));
        File.WriteAllText(path, "no table");
        Assert.Contains("is no table of plans, and is left as it is", Assert.Throws<MoeException>(() => PlanTable.Save(path, Result(ranks: 4, [Row(1, "push:1", 3)]))).Message, StringComparison.Ordinal);
        Assert.Equal("no table", File.ReadAllText(path));
    }

    /// <summary>Gatherings and sums that are shared out each by their own times; a run without them leaves what there is.</summary>
    [Fact]
    public void Exchanges_have_lists_of_their_own_that_a_run_without_them_leaves()
    {
        string path = _folder.File("table.json");
        ParallelResult result = Result(ranks: 4, [Row(8, "push:1", 3)]);
        result.Exchanges.AddRange([Exchange(8, "push:1", 3, 3), Exchange(8, "pull:1", 2, 4), Exchange(64, "push:1", 9, 9), Exchange(64, "pull:1", 8, 8)]);
        PlanTable.Save(path, result);
        PlanTable.Save(path, Result(ranks: 4, [Row(8, "pull:1", 3)]));

        JsonElement table = JsonDocument.Parse(File.ReadAllText(path)).RootElement;

        Assert.Equal("pull:1", table.GetProperty("reductions").EnumerateArray().Single().GetProperty("plan").GetString());
        Assert.Equal("pull:1", table.GetProperty("gathers").EnumerateArray().Single().GetProperty("plan").GetString());
        JsonElement[] scatters = [.. table.GetProperty("scatters").EnumerateArray()];
        Assert.Equal(["push:1", "pull:1"], scatters.Select(entry => entry.GetProperty("plan").GetString()));
        Assert.Equal(8 * 96 * 2, scatters[0].GetProperty("bytes").GetInt64());
        Assert.False(scatters[1].TryGetProperty("bytes", out _));
    }

    [Fact]
    public async Task Tuning_measures_and_writes_a_table()
    {
        string path = _folder.File("table.json");
        Cli result = await Cli.Run("bench", "parallel", "--devices", "cpu,cpu", "--group", "Cpu", "--width", "96", "--tokens", "2,4", "--seconds", "0.05", "--tune", path);

        Assert.True(result.ExitCode == ExitCode.Ok, result.Error);
        JsonElement table = JsonDocument.Parse(await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken)).RootElement;
        JsonElement last = table.GetProperty("reductions").EnumerateArray().Last();
        Assert.Equal(2, last.GetProperty("ranks").GetInt32());
        Assert.False(last.TryGetProperty("bytes", out _));
        Assert.Contains(last.GetProperty("plan").GetString(), PlanTable.Candidates);
        Assert.All(["gathers", "scatters"], kind => Assert.Contains(table.GetProperty(kind).EnumerateArray().Last().GetProperty("plan").GetString(), PlanTable.ExchangeCandidates));
    }

    /// <summary>The Cpu backend stands for the plugin that has NCCL: what is tested are the processes.</summary>
    [Fact]
    public async Task What_the_reduction_replaces_is_measured_between_processes_and_the_ratio_said()
    {
        string[] arguments =
        [
            "bench", "parallel", "--devices", "cpu,cpu,cpu", "--group", "Cpu", "--only", "reductions", "--width", "96", "--tokens", "1,8", "--seconds", "0.02", "--replays", "3", "--nccl",
        ];
        Cli result = await Cli.Run([.. arguments, "--json"]);

        Assert.True(result.ExitCode == ExitCode.Ok, result.Error + result.Output);
        JsonElement[] rows = [.. JsonDocument.Parse(result.Output).RootElement.GetProperty("reductions").EnumerateArray()];
        Assert.Equal([null, null, "nccl", "nccl"], rows.Select(row => row.GetProperty("plan").GetString()));
        Assert.Equal([1, 8, 1, 8], rows.Select(row => row.GetProperty("tokens").GetInt32()));
        Assert.All(rows, row => Assert.True(row.GetProperty("right").GetBoolean() && row.GetProperty("microseconds").GetDouble() > 0));
        using var text = new StringWriter();
        using var console = new CommandConsole(text, TextWriter.Null);
        ParallelTable.Write(console.Out, Result(ranks: 3, [Row(1, null, 3), Row(1, "nccl", 10)]));
        Assert.Contains("0.30", text.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task On_processors_the_layers_are_a_backends_that_runs_there()
    {
        Cli result = await Cli.Run(
            "bench", "parallel", "--devices", "cpu,cpu", "--only", "layers", "--shape", "4,64,64,2", "--tokens", "1", "--seconds", "0.02", "--replays", "3", "--json");

        Assert.True(result.ExitCode == ExitCode.Ok, result.Error + result.Output);
        JsonElement layers = JsonDocument.Parse(result.Output).RootElement.GetProperty("layers");
        Assert.All(layers.EnumerateArray(), row => Assert.Equal("Cpu", row.GetProperty("backend").GetString()));
        Assert.Equal(2, layers.GetArrayLength());
    }

    [Fact]
    public async Task A_rank_that_there_is_not_is_named()
    {
        Cli wrong = await Cli.Run("bench", "parallel", "--devices", "cpu,cpu", "--as-rank", "2:/tmp/meet");

        Assert.Equal(ExitCode.BadInput, wrong.ExitCode);
        Assert.Contains("a rank and a path are expected", wrong.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Exchanges_are_checked_and_timed_where_tokens_can_be_shared_out()
    {
        Cli result = await Cli.Run("bench", "parallel", "--devices", "cpu,cpu", "--only", "exchanges", "--width", "96", "--tokens", "1,4,10", "--seconds", "0.05", "--json");

        Assert.True(result.ExitCode == ExitCode.Ok, result.Error);
        JsonElement measured = JsonDocument.Parse(result.Output).RootElement;
        JsonElement[] rows = [.. measured.GetProperty("exchanges").EnumerateArray()];
        Assert.Equal([4, 10], rows.Select(row => row.GetProperty("tokens").GetInt32()));
        Assert.All(rows, row => Assert.True(row.GetProperty("right").GetBoolean() && row.GetProperty("gather_microseconds").GetDouble() > 0 && row.GetProperty("scatter_microseconds").GetDouble() > 0));
        Assert.All(rows, row => Assert.True(row.GetProperty("chosen_gather_microseconds").GetDouble() > 0 && row.GetProperty("chosen_scatter_microseconds").GetDouble() > 0));
        Assert.Equal("2 ranks cannot bring one token in equal shares.", measured.GetProperty("notes").EnumerateArray().Single().GetString());
    }

    [Fact]
    public void A_picture_that_cannot_be_drawn_is_a_warning()
    {
        using var output = new StringWriter();
        using var error = new StringWriter();
        using var console = new CommandConsole(output, error);

        Panels.TrySave(console, () => Panels.Save<int>(
            _folder.File("p.png"), [1], legendLines: 1, (_, _) => throw new TypeInitializationException("SkiaSharp", new DllNotFoundException("libSkiaSharp is not there"))));

        Assert.Contains("was not drawn: pictures need libSkiaSharp", error.ToString().ReplaceLineEndings(" "), StringComparison.Ordinal);
        Assert.False(File.Exists(_folder.File("p.png")));
    }

    public void Dispose() => _folder.Dispose();

    private static ReductionRow Row(int tokens, string? plan, double? microseconds) =>
        new() { Group = "G", Plan = plan, Tokens = tokens, Microseconds = microseconds, Right = microseconds is not null };

    private static ExchangeRow Exchange(int tokens, string plan, double gather, double scatter) =>
        new() { Group = "G", Plan = plan, Tokens = tokens, GatherMicroseconds = gather, ScatterMicroseconds = scatter, Right = true };

    private static ParallelResult Result(int ranks, List<ReductionRow> rows) =>
        new() { Date = "2026-01-01T00:00:00Z", Device = "D", Ranks = ranks, Width = 96, Seed = 1, Version = "1", Reductions = rows };
}
