using System.Globalization;
using Spectre.Console;
using static System.FormattableString;

namespace Moe.Plugins.Cli;

/// <summary>A result for a person.</summary>
internal static class PaddingTable
{
    public static void Write(IAnsiConsole console, PaddingResult result)
    {
        string driver = result.Driver is null ? "" : $", driver {result.Driver}";
        console.Say($"[bold]{result.Device}[/]{driver}, {result.Date}");
        console.Say($"padded: the host pads the input and slices the output; skipping: the method takes and writes the caller's rows");
        foreach (IGrouping<(string Backend, string Shape), PaddingRow> rows in result.Rows.GroupBy(row => (row.Backend, row.Shape)))
        {
            console.WriteLine();
            console.Say($"[bold]{rows.Key.Backend}, {rows.Key.Shape}[/]");
            FittedTable table = new FittedTable()
                .Always("tokens").Always("padded µs").Optional("±").Optional("kernels").Always("skipping µs").Optional("±").Optional("kernels")
                .Always("saved µs").Always("±").Optional("saved").Optional("bytes saved").Optional("workspace saved").Always("error");
            foreach (PaddingRow row in rows)
            {
                table.AddRow(Cells(row));
            }

            table.WriteTo(console);
        }

        HeldBackText.Write(console, result.Rows.Select(row => (row.Backend, row.Shape, row.Tokens, row.Throttle)));
    }

    private static IEnumerable<string> Cells(PaddingRow row) =>
    [
        Invariant($"{row.Tokens}"),
        row.Right ? Number(row.Padded.Microseconds) : "[red]WRONG[/]",
        Number(row.Padded.Spread),
        Count(row.Padded.Kernels),
        Number(row.Skipping.Microseconds),
        Number(row.Skipping.Spread),
        Count(row.Skipping.Kernels),
        Number(row.SavedMicroseconds),
        Number(row.SavedSpread),
        row.SavedShare is double share ? HumanText.Percent(share) : "–",
        HumanText.Bytes(row.SavedBytes),
        HumanText.Bytes(row.Padded.WorkspaceBytes - row.Skipping.WorkspaceBytes),
        HumanText.Error(row.RelativeError ?? double.NaN),
    ];

    private static string Count(int kernels) => kernels == 0 ? "–" : Invariant($"{kernels}");

    private static string Number(double? microseconds) => microseconds?.ToString("0.00", CultureInfo.InvariantCulture) ?? "–";
}
