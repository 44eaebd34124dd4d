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
        console.Say($"microseconds of the sum over the ranks, the residual and the norm, {result.Width} columns of BF16: the slowest rank's, median, in a graph of rounds");
        console.WriteLine();
        (string Group, string? Plan)[] ways = [.. result.Reductions.Select(row => (row.Group, row.Plan)).Distinct()];
        FittedTable table = new FittedTable().Always("tokens");
        foreach ((string group, string? plan) in ways)
        {
            table = table.Always(plan ?? group);
        }

        table = table.Optional("fastest").Optional("error");
        foreach (IGrouping<int, ReductionRow> rows in result.Reductions.GroupBy(row => row.Tokens).OrderBy(rows => rows.Key))
        {
            ReductionRow? fastest = rows.Where(row => row.Microseconds is not null).MinBy(row => row.Microseconds);
            table.AddRow(
            [
                Invariant($"{rows.Key}"),
                .. ways.Select(way => Cell(rows.FirstOrDefault(row => (row.Group, row.Plan) == way))),
                fastest?.Plan ?? fastest?.Group ?? "–",
                HumanText.Error(rows.Max(row => row.RelativeError) ?? double.NaN),
            ]);
        }

        table.WriteTo(console);
    }

    private static string Cell(ReductionRow? row) => row is null ? "–"
        : !row.Right ? "[red]WRONG[/]"
        : row.Microseconds?.ToString("0.00", CultureInfo.InvariantCulture) ?? "–";
}
