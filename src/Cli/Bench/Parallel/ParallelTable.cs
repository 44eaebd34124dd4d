using System.Globalization;
using Spectre.Console;
using static System.FormattableString;

namespace Moe.Plugins.Cli;

/// <summary>A result for a person.</summary>
internal static class ParallelTable
{
    public static void Write(IAnsiConsole console, ParallelResult result)
    {
        string driver = result.Driver is null ? "" : $", driver {result.Driver}";
        console.Say($"[bold]{result.Ranks} × {result.Device}[/]{driver}, {result.Date}");
        if (result.Reductions.Count > 0)
        {
            WriteReductions(console, result);
        }

        if (result.Exchanges.Count > 0)
        {
            WriteExchanges(console, result);
        }

        foreach (IGrouping<(string Backend, string Shape, string Split), LayerRow> rows in result.Layers.GroupBy(row => (row.Backend, row.Shape, row.Split)))
        {
            console.WriteLine();
            console.Say($"[bold]{rows.Key.Backend}, {rows.Key.Shape}, {result.Ranks} ranks by {rows.Key.Split}[/]");
            WriteLayers(console, rows);
        }

        if (result.Layers.Count > 0)
        {
            console.Say($"padded: pad, forward, all-reduce as wide as padded, slice, add and norm; skipping: forward, all-reduce, add and norm; fused: forward, and one kernel for the rest");
        }

        result.Notes.ForEach(note => console.Say($"{note}"));
    }

    private static void WriteReductions(IAnsiConsole console, ParallelResult result)
    {
        console.Say($"microseconds of the sum over the ranks, the residual and the norm, {result.Width} columns of BF16: the slowest rank's, median, in a graph of rounds");
        console.WriteLine();
        (string Group, string? Plan)[] ways = [.. result.Reductions.Select(row => (row.Group, row.Plan)).Distinct()];
        FittedTable table = new FittedTable().Always("tokens");
        foreach ((string group, string? plan) in ways)
        {
            table = table.Always(plan ?? group);
        }

        bool hasRatio = ways.Length == 2 && ways[1].Plan == ParallelOptions.NcclPlan;
        table = hasRatio ? table.Always("ratio").Optional("error") : table.Optional("fastest").Optional("error");
        foreach (IGrouping<int, ReductionRow> rows in result.Reductions.GroupBy(row => row.Tokens).OrderBy(rows => rows.Key))
        {
            double? ratio = hasRatio ? rows.FirstOrDefault(row => row.Plan != ParallelOptions.NcclPlan)?.Microseconds / rows.FirstOrDefault(row => row.Plan == ParallelOptions.NcclPlan)?.Microseconds : null;
            ReductionRow? fastest = rows.Where(row => row.Microseconds is not null).MinBy(row => row.Microseconds);
            table.AddRow(
            [
                Invariant($"{rows.Key}"),
                .. ways.Select(way => Cell(rows.FirstOrDefault(row => (row.Group, row.Plan) == way))),
                hasRatio ? Number(ratio) : fastest?.Plan ?? fastest?.Group ?? "–",
                HumanText.Error(rows.Max(row => row.RelativeError) ?? double.NaN),
            ]);
        }

        table.WriteTo(console);
    }

    private static void WriteExchanges(IAnsiConsole console, ParallelResult result)
    {
        console.Say($"microseconds until every rank has the tokens of all, and until each has the sums of its own, {result.Width} columns of BF16; chosen: where the group knows each token's 4 of 128 experts: the slowest rank's, median, in a graph of rounds");
        console.WriteLine();
        FittedTable table = new FittedTable().Always("tokens").Always("group").Always("gather µs").Always("scatter µs").Always("chosen: gather µs").Always("scatter µs").Optional("left out");
        foreach (ExchangeRow row in result.Exchanges)
        {
            table.AddRow(
            [
                Invariant($"{row.Tokens}"),
                row.Plan ?? row.Group,
                row.Right ? Number(row.GatherMicroseconds) : "[red]WRONG[/]",
                Number(row.ScatterMicroseconds),
                Number(row.ChosenGatherMicroseconds),
                Number(row.ChosenScatterMicroseconds),
                Invariant($"{row.LeftOut:p0}"),
            ]);
        }

        table.WriteTo(console);
    }

    private static void WriteLayers(IAnsiConsole console, IEnumerable<LayerRow> rows)
    {
        FittedTable table = new FittedTable()
            .Always("tokens").Always("padded µs").Optional("±").Optional("kernels").Always("skipping µs").Optional("±").Optional("kernels")
            .Always("fused µs").Optional("±").Optional("kernels").Always("saved").Always("error");
        foreach (LayerRow row in rows)
        {
            table.AddRow(
            [
                Invariant($"{row.Tokens}"),
                .. Cells(row.Padded),
                .. row.Right ? Cells(row.Skipping) : ["[red]WRONG[/]", "–", "–"],
                .. Cells(row.Fused),
                row.SavedShare is double share ? HumanText.Percent(share) : "–",
                HumanText.Error(row.RelativeError ?? double.NaN),
            ]);
        }

        table.WriteTo(console);
    }

    private static string[] Cells(LayerSide? side) => side is null
        ? ["–", "–", "–"]
        : [Number(side.Microseconds), Number(side.Spread), side.Kernels == 0 ? "–" : Invariant($"{side.Kernels}")];

    private static string Number(double? microseconds) => microseconds?.ToString("0.00", CultureInfo.InvariantCulture) ?? "–";

    private static string Cell(ReductionRow? row) => row is null ? "–"
        : !row.Right ? "[red]WRONG[/]"
        : Number(row.Microseconds);
}
