using System.Globalization;
using Spectre.Console;
using static System.FormattableString;

namespace Moe.Plugins.Cli;

/// <summary>A result for a person.</summary>
internal static class BenchTable
{
    public static void Write(IAnsiConsole console, BenchResult result)
    {
        string driver = result.Driver is null ? "" : $", driver {result.Driver}";
        string throttle = result.Throttle is null ? "" : $"; held back by: {result.Throttle}";
        console.MarkupLineInterpolated($"[bold]{result.Device}[/]{driver}, {result.Date}, {result.Routing} routing{throttle}");
        console.WriteLine(Invariant($"copy {result.CopyGbps:0.0} GB/s, read {result.ReadGbps:0.0} GB/s, {Rate(result.Bf16Tflops)} ({result.MatrixSource})"));
        console.WriteLine(
            $"floor = the larger of the distinct experts' bytes ÷ {result.FloorBandwidth} bandwidth and of the operations ÷ that rate");
        foreach (IGrouping<(string, string), BenchRow> rows in result.Rows.GroupBy(row => (row.Shape, row.Weights)))
        {
            console.WriteLine();
            console.MarkupLineInterpolated($"[bold]{rows.Key.Item1}[/], {rows.Key.Item2} weights");
            console.Write(Rows(rows));
        }

        HeldBackText.Write(console, result.Rows.Select(row => (row.Backend, row.Shape, row.Tokens, row.Throttle)));

        foreach (string note in result.Notes.Concat(result.Skipped))
        {
            console.MarkupLineInterpolated($"[yellow]note:[/] {note}");
        }
    }

    private static Table Rows(IEnumerable<BenchRow> rows)
    {
        var table = new Table().Border(TableBorder.Simple);
        table.AddColumn("backend");
        foreach (string name in (string[])
            ["tokens", "µs", "±", "floor µs", "÷ floor", "experts", "GB/s", "TFLOP/s", "kernels", "weights", "workspace", "error"])
        {
            table.AddColumn(new TableColumn(name).RightAligned());
        }

        foreach (BenchRow row in rows)
        {
            table.AddRow([.. Cells(row).Select(cell => new Markup(cell))]);
        }

        return table;
    }

    private static IEnumerable<string> Cells(BenchRow row) =>
    [
        Markup.Escape(row.Backend),
        Invariant($"{row.Tokens}"),
        row.Right ? Time(row.Microseconds) : "[red]WRONG[/]",
        Time(row.Spread),
        Time(row.FloorMicroseconds),
        Number(row.RatioToFloor, "0.00"),
        Number(row.DistinctExperts, "0.#"),
        Number(row.Gbps, row.Gbps >= 100 ? "0" : "0.0"),
        Number(row.Tflops, row.Tflops >= 100 ? "0" : "0.00"),
        row.Kernels == 0 ? "–" : Invariant($"{row.Kernels}"),
        HumanText.Bytes(row.WeightBytes),
        HumanText.Bytes(row.WorkspaceBytes),
        row.Right ? HumanText.Error(row.RelativeError ?? double.NaN) : $"[red]{HumanText.Error(row.RelativeError ?? double.NaN)}[/]",
    ];

    /// <summary>Four digits or so of microseconds.</summary>
    private static string Time(double? microseconds) =>
        Number(microseconds, microseconds >= 1000 ? "0" : microseconds >= 10 ? "0.0" : "0.00");

    private static string Number(double? value, string format) => value?.ToString(format, CultureInfo.InvariantCulture) ?? "–";

    private static string Rate(double? teraflops) =>
        teraflops is null ? "no matrix rate" : teraflops < 1 ? Invariant($"{teraflops * 1e3:0} GFLOP/s") : Invariant($"{teraflops:0.0} TFLOP/s");
}
