using System.Globalization;
using Spectre.Console;
using static System.FormattableString;

namespace Moe.Plugins.Cli;

/// <summary>Two results beside each other, for a person.</summary>
internal static class CompareTable
{
    public static void Write(IAnsiConsole console, BenchResult before, BenchResult after, IReadOnlyList<RowChange> changes)
    {
        console.Say($"A: {before.Device}, {before.Date}, {before.Routing} routing{BenchTable.RestText(before)}, copy {before.CopyGbps:0} GB/s");
        console.Say($"B: {after.Device}, {after.Date}, {after.Routing} routing{BenchTable.RestText(after)}, copy {after.CopyGbps:0} GB/s");
        if (before.Device != after.Device || before.Routing != after.Routing || before.Rest != after.Rest)
        {
            console.Say($"[yellow]note:[/] the two differ in device, routing or rest: compare the ratios to the floor rather than the times");
        }

        foreach (var rows in changes.GroupBy(change => (change.After.Shape, change.After.Weights)))
        {
            console.WriteLine();
            console.Say($"[bold]{rows.Key.Shape}[/], {rows.Key.Weights} weights");
            FittedTable table = new FittedTable()
                .Always("backend", isNumber: false).Always("tokens").Always("A µs").Always("B µs").Always("change")
                .Optional("spread").Optional("A ÷ floor").Optional("B ÷ floor").Always("result", isNumber: false);
            foreach (RowChange change in rows)
            {
                table.AddRow(Cells(change));
            }

            table.WriteTo(console);
        }

        int worse = changes.Count(change => change.IsRegression);
        int better = changes.Count(change => change.IsImprovement);
        console.Say($"{HumanText.Count(changes.Count, "row")}: {worse} worse, {better} better, the others within the spread.");
    }

    private static IEnumerable<string> Cells(RowChange change)
    {
        (BenchRow before, BenchRow after) = change;
        return
        [
            PlainConsole.Show(after.Backend), Invariant($"{after.Tokens}"),
            Time(before), Time(after), Share(change.Slower / before.Microseconds), Share(change.Spread / before.Microseconds, sign: false),
            Ratio(before), Ratio(after),
            change.IsRegression ? "[red]worse[/]" : change.IsImprovement ? "[green]better[/]" : change.Verdict,
        ];
    }

    private static string Time(BenchRow row) => row.Microseconds is double time ? Invariant($"{time:0.0}") : "[red]WRONG[/]";

    private static string Ratio(BenchRow row) => row.RatioToFloor is double ratio ? Invariant($"{ratio:0.00}") : "–";

    private static string Share(double? share, bool sign = true) => share is double value && double.IsFinite(value)
        ? $"{(100 * value).ToString(sign ? "+0.0;-0.0;0.0" : "0.0", CultureInfo.InvariantCulture)} %"
        : "–";
}
