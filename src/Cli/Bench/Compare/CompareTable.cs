using System.Globalization;
using Spectre.Console;
using static System.FormattableString;

namespace Moe.Plugins.Cli;

/// <summary>Two results beside each other, for a person.</summary>
internal static class CompareTable
{
    public static void Write(IAnsiConsole console, BenchResult before, BenchResult after, IReadOnlyList<RowChange> changes)
    {
        console.MarkupLineInterpolated($"A: {before.Device}, {before.Date}, {before.Routing} routing, copy {before.CopyGbps:0} GB/s");
        console.MarkupLineInterpolated($"B: {after.Device}, {after.Date}, {after.Routing} routing, copy {after.CopyGbps:0} GB/s");
        if (before.Device != after.Device || before.Routing != after.Routing)
        {
            console.MarkupLine("[yellow]note:[/] the two are not of one device and routing: look at the ratios to the floor rather than at the times");
        }

        var table = new Table().Border(TableBorder.Simple).AddColumns("backend", "shape", "weights");
        foreach (string name in (string[])["tokens", "A µs", "B µs", "change", "spread", "A ÷ floor", "B ÷ floor", ""])
        {
            table.AddColumn(new TableColumn(name).RightAligned());
        }

        foreach (RowChange change in changes)
        {
            table.AddRow([.. Cells(change).Select(cell => new Markup(cell))]);
        }

        console.Write(table);
        int worse = changes.Count(change => change.IsRegression);
        int better = changes.Count(change => change.IsImprovement);
        console.WriteLine($"{HumanText.Count(changes.Count, "row")}: {worse} worse, {better} better, the others within the spread.");
    }

    private static IEnumerable<string> Cells(RowChange change)
    {
        (BenchRow before, BenchRow after) = change;
        return
        [
            Markup.Escape(after.Backend), Markup.Escape(after.Shape), after.Weights, Invariant($"{after.Tokens}"),
            Time(before), Time(after), Share(change.Slower / before.Microseconds), Share(change.Spread / before.Microseconds, sign: false),
            Ratio(before), Ratio(after),
            change.IsRegression ? "[red]worse[/]" : change.IsImprovement ? "[green]better[/]" : "same",
        ];
    }

    private static string Time(BenchRow row) => row.Microseconds is double time ? Invariant($"{time:0.0}") : "[red]WRONG[/]";

    private static string Ratio(BenchRow row) => row.RatioToFloor is double ratio ? Invariant($"{ratio:0.00}") : "–";

    private static string Share(double? share, bool sign = true) => share is double value && double.IsFinite(value)
        ? $"{(100 * value).ToString(sign ? "+0.0;-0.0;0.0" : "0.0", CultureInfo.InvariantCulture)}\u00A0%"
        : "–";
}
