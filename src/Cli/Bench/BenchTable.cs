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
        console.Say($"[bold]{result.Device}[/]{driver}, {result.Date}, {result.Routing} routing{RestText(result)}{throttle}");
        console.Say($"copy {result.CopyGbps:0.0} GB/s, read {result.ReadGbps:0.0} GB/s, {Rate(result.MatrixTflops)} ({result.MatrixSource})");
        if (result.Rows.Any(row => row.Fp8))
        {
            console.Say($"FP8: {Rate(result.Fp8Tflops)} ({result.Fp8Source}), which rows are floored by whose products multiply FP8 numbers");
        }

        console.Say($"floor = the larger of: bytes of the distinct experts ÷ {result.FloorBandwidth} bandwidth; operations ÷ that rate");
        foreach (IGrouping<(string Shape, string Weights), BenchRow> rows in result.Rows.GroupBy(row => (row.Shape, row.Weights)))
        {
            console.WriteLine();
            console.Say($"[bold]{rows.Key.Shape}[/], {rows.Key.Weights} weights");
            FittedTable table = new FittedTable()
                .Always("backend", isNumber: false).Always("tokens").Always("µs").Always("±").Always("floor µs").Always("÷ floor")
                .Optional("experts").Optional("GB/s").Optional("TFLOP/s").Optional("kernels").Optional("weights").Optional("workspace")
                .Always("error");
            foreach (BenchRow row in rows)
            {
                table.AddRow(Cells(row));
            }

            table.WriteTo(console);
        }

        HeldBackText.Write(console, result.Rows.Select(row => (row.Backend, row.Shape, row.Tokens, row.Throttle)));

        foreach (string note in result.Notes.Concat(result.Skipped))
        {
            console.Say($"[yellow]note:[/] {note}");
        }
    }

    /// <summary>What stands behind the routing where the device rested; nothing where it did not.</summary>
    public static string RestText(BenchResult result) => result.Rest == 0 ? "" : Invariant($", {result.Rest} ms of rest before each replay");

    private static IEnumerable<string> Cells(BenchRow row) =>
    [
        PlainConsole.Show(row.Backend),
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
