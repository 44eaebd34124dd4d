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
        console.MarkupLineInterpolated($"[bold]{result.Device}[/]{driver}, {result.Date}");
        console.WriteLine("padded: the host pads the input and slices the output; skipping: the method takes and writes the caller's rows");
        foreach (IGrouping<(string Backend, string Shape), PaddingRow> rows in result.Rows.GroupBy(row => (row.Backend, row.Shape)))
        {
            console.WriteLine();
            console.MarkupLineInterpolated($"[bold]{rows.Key.Backend}, {rows.Key.Shape}[/]");
            console.Write(Rows(rows));
        }

        HeldBackText.Write(console, result.Rows.Select(row => (row.Backend, row.Shape, row.Tokens, row.Throttle)));
    }

    private static Table Rows(IEnumerable<PaddingRow> rows)
    {
        var table = new Table().Border(TableBorder.Simple);
        foreach (string name in (string[])
            ["tokens", "padded µs", "±", "kernels", "skipping µs", "±", "kernels", "saved µs", "±", "saved", "bytes saved", "workspace saved", "error"])
        {
            table.AddColumn(new TableColumn(name).RightAligned());
        }

        foreach (PaddingRow row in rows)
        {
            table.AddRow([.. Cells(row).Select(cell => new Markup(cell))]);
        }

        return table;
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
