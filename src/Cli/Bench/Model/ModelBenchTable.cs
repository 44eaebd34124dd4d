using Spectre.Console;
using static System.FormattableString;

namespace Moe.Plugins.Cli;

/// <summary>A result of a whole model for a person.</summary>
internal static class ModelBenchTable
{
    public static void Write(IAnsiConsole console, ModelBenchResult result, ModelPeers? peers)
    {
        console.Say($"[bold]{result.Model}[/], experts on {result.Experts}; {result.Device}, {result.Types}, {result.Date}");
        if (result.LoadSeconds is double seconds)
        {
            console.Say($"loaded in {seconds:0.00} s");
        }

        console.Say($"floor = the larger of: bytes of a step ÷ read bandwidth; its operations ÷ the rate of multiplications; both measured around each row");
        FittedTable table = new FittedTable()
            .Always("phase", isNumber: false).Always("batch").Always("context").Always("tokens").Always("tokens/s").Always("ms").Optional("±")
            .Always("floor ms").Always("÷ floor").Optional("% of floor").Optional("bound by", isNumber: false).Optional("GB/s").Optional("GFLOP/s");
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

        table.WriteTo(console);
        HeldBackText.Write(console, result.Rows.Select(row => (NameOf(row), row.Throttle)));

        if (peers is not null)
        {
            console.Say($"[bold]others[/]: {peers.Measured}");
            foreach (ModelPeers.Row row in peers.Rows)
            {
                console.Say($"  {row.Name}: {row.Phase}, batch {row.Batch}, context {row.Context}: {row.TokensPerSecond:0.0} tokens/s");
            }
        }
    }

    private static string NameOf(ModelBenchRow row) =>
        row.Phase == ModelBenchRow.Prefill ? Invariant($"{row.Phase} {row.Tokens}") : Invariant($"{row.Phase} {row.Batch} × {row.Context}");
}
