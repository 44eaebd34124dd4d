using System.Text;
using static System.FormattableString;

namespace Moe.Plugins.Cli;

/// <summary>Results of `moe bench padding` as Markdown.</summary>
internal static class PaddingText
{
    /// <summary>Writes a table for each backend and shape, behind what the other results say.</summary>
    public static void Write(StringBuilder text, PaddingFile file)
    {
        (PaddingResult result, string? picture) = file;
        string driver = result.Driver is null ? "" : $", driver {result.Driver}";
        text.AppendLine(Invariant($"### Padded by the host or not at all: {result.Device}, {result.Day}"));
        text.AppendLine();
        text.AppendLine(Invariant(
            $"`moe bench padding`, version {result.Version}{driver}, uniform routing: the same layer with its input padded and its output sliced by the host, and taking and writing the caller's rows. Times are medians of replays in turns, ± half the distance of the 10th and the 90th percentile; what is saved is that of the pairs. Both ways gave the same bits, which were checked against float64."));
        text.AppendLine();
        if (picture is not null)
        {
            text.AppendLine($"![Saved by not padding, {result.Device}, {result.Day}]({picture})");
            text.AppendLine();
        }

        foreach (IGrouping<(string Backend, string Shape), PaddingRow> rows in result.Rows.GroupBy(row => (row.Backend, row.Shape)))
        {
            text.AppendLine(Invariant($"**{rows.Key.Shape}**, {rows.Key.Backend}, microseconds:"));
            text.AppendLine();
            text.AppendLine("| tokens | padded | kernels | skipping | kernels | saved | share | bytes a forward |");
            text.AppendLine("|--:|--:|--:|--:|--:|--:|--:|--:|");
            foreach (PaddingRow row in rows.OrderBy(row => row.Tokens))
            {
                text.AppendLine(row is { Right: true, SavedMicroseconds: double saved, SavedShare: double share }
                    ? Invariant($"| {row.Tokens} | {Side(row.Padded)} | {Side(row.Skipping)} | {saved:0.0} ± {row.SavedSpread:0.0} | {HumanText.Percent(share)} | {HumanText.Bytes(row.SavedBytes)} |")
                    : Invariant($"| {row.Tokens} | wrong | | | | | | |"));
            }

            text.AppendLine();
        }
    }

    private static string Side(PaddingSide side) =>
        Invariant($"{side.Microseconds:0.0} ± {side.Spread:0.0} | {(side.Kernels == 0 ? "" : side.Kernels)}");
}
