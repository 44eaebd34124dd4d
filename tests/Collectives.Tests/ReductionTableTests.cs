using Moe.Plugins.Tests;

namespace Moe.Plugins.Collectives.Tests;

public sealed class ReductionTableTests : IDisposable
{
    private const int RowBytes = 5760;

    private readonly string _path = Path.GetTempFileName();

    /// <summary>Rows of gpt-oss, as the table has them that comes with the plugin: ranks read where they are many, and where that was measured.</summary>
    [Theory]
    [InlineData(4, 255, false, false)]
    [InlineData(4, 256, true, false)]
    [InlineData(4, 4096, true, false)]
    [InlineData(3, 4098, true, true)]
    [InlineData(4, 8192, true, true)]
    [InlineData(2, 8192, false, false)]
    [InlineData(8, 8192, false, false)]
    public void Exchanges_read_from_some_tokens_of_all_ranks_on(int ranks, int tokens, bool gathers, bool scatters)
    {
        var request = new MoeGroupRequest { Devices = [.. Enumerable.Repeat(MoeDevice.Cpu, ranks)], MaxTokens = 8192, Width = RowBytes / 2 };
        ReductionTable table = ReductionTable.Read(new SettingsContext());
        ReductionPlanner planner = Planner(table, request);

        GatherPlan gather = planner.ForGather(tokens / ranks, RowBytes);
        ReductionPlan scatter = planner.ForScatter(tokens / ranks);

        Assert.Equal((gathers, scatters), (gather.Way == GatherWay.Pull, scatter.Way == ReductionWay.Pull));
        Assert.True(!gathers || gather.LaunchRows == tokens / ranks, "a gathering by reading is one launch");
        Assert.True(!scatters || scatter.LaunchRows == tokens / ranks, "sums that are read are one launch");

        // All blocks of all ranks of a device must run at once, and a gathering's are larger than others.
        Assert.Equal(Math.Min(99, gather.LaunchRows), planner.GatherBlocks(gather, gather.LaunchRows));
    }

    /// <summary>
    /// Where rows are left out and each expert is one rank's, those of four choices take longer than to route first. With eight choices, or where two ranks
    /// share an expert, fewer are left out, and that is so of wider rows or more of them.
    /// </summary>
    [Theory]
    [InlineData(2880, 4, 1025, 4, 1, true)]
    [InlineData(2880, 4, 1024, 4, 1, false)]
    [InlineData(2880, 4, 1025, 8, 1, false)]
    [InlineData(2880, 4, 1025, 4, 2, false)]
    [InlineData(2880, 4, 4096, 4, 2, true)]
    [InlineData(7168, 4, 1025, 4, 2, true)]
    [InlineData(7168, 4, 16, 4, 1, false)]
    [InlineData(7168, 2, 2048, 1, 1, false)]
    public void Layers_route_before_they_send_where_more_is_left_out_than_that_takes(int width, int ranks, int rows, int topK, int tensorCount, bool gains)
    {
        var request = new MoeGroupRequest { Devices = [.. Enumerable.Repeat(MoeDevice.Cpu, ranks)], MaxTokens = 16384, Width = width };

        Assert.Equal(gains, Planner(ReductionTable.Read(new SettingsContext()), request).GainsByRouting(rows, topK, tensorCount));
    }

    /// <summary>No table, however it was written, may have rows of a launch for which there is no room.</summary>
    [Theory]
    [InlineData("twopull:132:1:64", true)]
    [InlineData("pull:132:1:1048576", true)]
    [InlineData("twoshot:132:1:64", false)]
    public void One_plan_for_all_reads_or_pushes_exchanges_too(string plan, bool reads)
    {
        var request = new MoeGroupRequest { Devices = [.. Enumerable.Repeat(MoeDevice.Cpu, 4)], MaxTokens = 400, Width = RowBytes / 2 };
        ReductionTable table = ReductionTable.Read(new SettingsContext(("Plan", plan)));
        GroupLayout layout = GroupLayout.Of(request, RowShape.Of(request.Width, request.ElementType), table);

        GatherPlan gather = Planner(table, request).ForGather(100, RowBytes);

        Assert.Equal(reads, gather.Way == GatherWay.Pull);
        Assert.InRange(gather.LaunchRows, 1, reads ? layout.SumsBytes / RowBytes : layout.MostRows(ReductionWay.Push));
        Assert.Equal(reads, Planner(table, request).ForScatter(100).Way == ReductionWay.Pull);
    }

    /// <summary>Ids and weights of each rank's share of all tokens, whatever the table says. More rows may be several launches that have room.</summary>
    [Theory]
    [InlineData("twopull:132:1:64", 2880, 4)]
    [InlineData("pull:132:1:1", 2880, 3)]
    [InlineData("push:132:1:1024", 2880, 64)]
    [InlineData("push:132:1:1024", 8, 2)]
    [InlineData("pull:132:1:1048576", 64, 8)]
    public void Short_rows_of_all_tokens_are_one_launch_of_many_rows_a_block(string plan, int width, int ranks)
    {
        const int Share = 2047;
        var request = new MoeGroupRequest { Devices = [.. Enumerable.Repeat(MoeDevice.Cpu, ranks)], MaxTokens = Share * ranks, Width = width };
        ReductionTable table = ReductionTable.Read(new SettingsContext(("Plan", plan)));
        var shape = RowShape.Of(width, request.ElementType);
        GroupLayout layout = GroupLayout.Of(request, shape, table);
        ReductionPlanner planner = Planner(table, request);
        int[] widths = [1, 4, 8, 16, 100, 128];
        foreach (int rowBytes in widths.Where(bytes => bytes <= shape.RowBytes))
        {
            int pieces = (rowBytes + 7) / 8;
            GatherPlan gather = planner.ForGather(Share, rowBytes);
            Assert.Equal(new GatherPlan(GatherWay.Short, 132, Share, 16 * pieces), gather);
            Assert.Equal(Math.Min(99, ((Share * pieces) + 127) / 128), planner.GatherBlocks(gather, Share));
            Assert.Equal(1, planner.GatherBlocks(gather, 128 / pieces));

            GatherPlan all = planner.ForGather(request.MaxTokens, rowBytes);
            Assert.InRange(all.LaunchRows, Share, layout.SetBytes / (16 * pieces * (ranks - 1)));
        }
    }

    /// <summary>A slot is as long as the row, not as the longest one: as many more rows are one launch.</summary>
    [Fact]
    public void Slots_of_narrow_rows_are_counted_in_bytes()
    {
        var request = new MoeGroupRequest { Devices = [.. Enumerable.Repeat(MoeDevice.Cpu, 4)], MaxTokens = 8, Width = RowBytes / 2 };
        ReductionPlanner planner = Planner(ReductionTable.Read(new SettingsContext(("Plan", "twoshot:132:1:8"))), request);

        Assert.Equal(new GatherPlan(GatherWay.Push, 132, 4, RowBytes), planner.ForGather(8, RowBytes));
        Assert.Equal(new GatherPlan(GatherWay.Push, 132, 8, 144), planner.ForGather(8, 130));
    }

    /// <summary>A group tries every way with the blocks of its plan; where each row has an owner that pushes, they are a multiple of the ranks.</summary>
    [Theory]
    [InlineData("push:1:1:1024")]
    [InlineData("twoshot:3:1:1024")]
    public void Plans_of_fewer_blocks_than_ranks_have_launches_of_some(string plan)
    {
        const int Rows = 24;
        var request = new MoeGroupRequest { Devices = [.. Enumerable.Repeat(MoeDevice.Cpu, 4)], MaxTokens = Rows, Width = RowBytes / 2 };
        ReductionPlanner planner = Planner(ReductionTable.Read(new SettingsContext(("Plan", plan))), request);
        foreach (ReductionWay way in Enum.GetValues<ReductionWay>())
        {
            ReductionPlan fitted = planner.For(way, Rows);
            Assert.True(planner.Blocks(fitted, fitted.LaunchRows) > 0, $"{way} became {fitted}");
        }
    }

    /// <summary>However few the most tokens are.</summary>
    [Theory]
    [InlineData(2, 512)]
    [InlineData(3, 63)]
    [InlineData(4, 63)]
    [InlineData(8, 31)]
    [InlineData(64, 31)]
    public void Rows_that_are_pushed_are_one_launch(int ranks, int most)
    {
        ReductionTable table = ReductionTable.Read(new SettingsContext());
        foreach (int maxTokens in new[] { 1, 8, 16, most, 8192 })
        {
            ReductionPlanner planner = Planner(table, new MoeGroupRequest { Devices = [.. Enumerable.Repeat(MoeDevice.Cpu, ranks)], MaxTokens = maxTokens, Width = RowBytes / 2 });
            Assert.All(
                Enumerable.Range(1, Math.Min(most, maxTokens)),
                rows => Assert.Equal((ReductionWay.Push, rows), (planner.ForRows(rows).Way, planner.ForRows(rows).LaunchRows)));
        }
    }

    /// <summary>Tables were written before there was a choice.</summary>
    [Fact]
    public void A_table_that_says_nothing_of_exchanges_pushes()
    {
        File.WriteAllText(_path, """{ "reductions": [ { "ranks": 4, "plan": "twopull:132:1:1048576" } ] }""");
        ReductionTable table = ReductionTable.Read(new SettingsContext(("Table", _path)));

        Assert.Equal(ReductionWay.Push, table.Gathers(4).Choose(long.MaxValue).Way);
        Assert.Equal(ReductionWay.Push, table.Scatters(4).Choose(long.MaxValue).Way);
        Assert.NotEqual(table.ToString(), ReductionTable.Read(new SettingsContext()).ToString());
    }

    [Theory]
    [InlineData("""{ "reductions": [] }""", "it has no reductions")]
    [InlineData("""{ "reductions": [ { "ranks": 4, "plan": "pull:1:1:1" } ], "gathers": [ { "ranks": 4, "bytes": 5, "plan": "pull:1:1:1" } ] }""", "none of 4 ranks is without bytes")]
    [InlineData("""{ "reductions": [ { "ranks": 4, "plan": "pull:1:1:1" } ], "scatters": [ { "ranks": 4, "plan": "tow" } ] }""", "'tow' is no plan")]
    public void What_is_no_table_is_refused(string text, string expected)
    {
        File.WriteAllText(_path, text);

        Assert.Contains(expected, Assert.Throws<MoeException>(() => ReductionTable.Read(new SettingsContext(("Table", _path)))).Message, StringComparison.Ordinal);
    }

    public void Dispose() => File.Delete(_path);

    private static ReductionPlanner Planner(ReductionTable table, MoeGroupRequest request)
    {
        var shape = RowShape.Of(request.Width, request.ElementType);
        return new ReductionPlanner(
            table, GroupLayout.Of(request, shape, table), request, shape.RowBytes, Enum.GetValues<ReductionWay>().ToDictionary(way => way, _ => 132), mostGatherBlocks: 99);
    }
}
