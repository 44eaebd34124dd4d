using Spectre.Console;
using static System.FormattableString;

namespace Moe.Plugins.Cli;

/// <summary>A result of a whole model for a person.</summary>
internal static class ModelBenchTable
{
    public static void Write(IAnsiConsole console, ModelBenchResult result, ModelPeers? peers)
    {
        console.MarkupLineInterpolated($"[bold]{result.Model}[/], experts on {result.Experts}; {result.Device}, {result.Types}, {result.Date}");
        console.WriteLine("floor = the larger of all bytes that a step needs ÷ read bandwidth and of its operations ÷ the rate of multiplications, both measured around each row");
        var table = new Table().Border(TableBorder.Simple).AddColumn("phase");
        foreach (string name in (string[])["batch", "context", "tokens", "tokens/s", "ms", "±", "floor ms", "÷ floor", "% of floor", "bound by", "GB/s", "GFLOP/s"])
        {
            table.AddColumn(new TableColumn(name).RightAligned());
        }

        foreach (ModelBenchRow row in result.Rows)
        {
            double? floor = row.FloorMilliseconds;
            table.AddRow(
                row.Phase,
                Invariant($"{row.Batch}"),
                Invariant($"{row.Context}"),
                Invariant($"{row.Tokens}"),
                Invariant($"{row.TokensPerSecond:0.0}"),
                Invariant($"{row.Milliseconds:0.0}"),
                Invariant($"{row.Spread:0.0}"),
                floor is null ? "–" : Invariant($"{floor:0.0}"),
                floor is null ? "–" : Invariant($"{row.Milliseconds / floor:0.00}"),
                floor is null ? "–" : Invariant($"{100 * floor / row.Milliseconds:0}"),
                floor is null ? "–" : row.IsBoundByReading ? "reading" : "multiplying",
                Invariant($"{row.Bytes / row.Milliseconds / 1e6:0.0}"),
                Invariant($"{row.Operations / row.Milliseconds / 1e6:0}"));
        }

        console.Write(table);
        foreach (var held in result.Rows.Where(row => row.Throttle is not null).GroupBy(row => row.Throttle))
        {
            console.MarkupLineInterpolated($"[yellow]held back[/] ({held.Key}): {string.Join(", ", held.Select(row => $"{row.Phase} {row.Batch} × {row.Context}"))}");
        }

        if (peers is not null)
        {
            console.MarkupLineInterpolated($"[bold]others[/]: {peers.Measured}");
            foreach (ModelPeers.Row row in peers.Rows)
            {
                console.WriteLine(Invariant($"  {row.Name}: {row.Phase}, batch {row.Batch}, context {row.Context}: {row.TokensPerSecond:0.0} tokens/s"));
            }
        }
    }
}
