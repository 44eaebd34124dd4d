using Spectre.Console;
using static System.FormattableString;

namespace Moe.Plugins.Cli;

/// <summary>The ways of a whole model for a person.</summary>
internal static class ExperimentTable
{
    public static void Write(IAnsiConsole console, ExperimentResult result)
    {
        console.Say($"[bold]{result.Model}[/], experts on {result.Experts}; {result.Ranks} × {result.Device}, {result.Date}");
        console.Say($"tokens per second of all sequences together, and how many more than padded");
        FittedTable table = new FittedTable()
            .Always("batch").Always("context").Always("padded").Optional("ms").Optional("±").Always("skipping").Optional("ms").Optional("±").Always("more")
            .Always("fused").Optional("ms").Optional("±").Always("more");
        foreach (ExperimentRow row in result.Steps)
        {
            table.AddRow(
            [
                Invariant($"{row.Batch}"),
                Invariant($"{row.Context}"),
                .. Cells(row.Padded),
                .. Cells(row.Skipping),
                row.Padded is null ? "–" : HumanText.Percent(row.Gain(row.Skipping)),
                .. Cells(row.Fused),
                HumanText.Percent(row.Gain(row.Fused)),
            ]);
        }

        table.WriteTo(console);
        console.Say($"around every expert layer: padded: pad, forward, all-reduce as wide as padded, slice, add and norm; skipping: forward, all-reduce, add and norm; fused: forward, and one kernel for the rest");
    }

    private static string[] Cells(ExperimentSide? side) => side is null
        ? ["–", "–", "–"]
        : [Invariant($"{side.TokensPerSecond:0.0}"), Invariant($"{side.Milliseconds:0.000}"), Invariant($"{side.Spread:0.000}")];
}
