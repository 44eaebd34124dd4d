using System.Text;
using static System.FormattableString;

namespace Moe.Plugins.Cli;

/// <summary>Results as Markdown.</summary>
internal static class PerformanceText
{
    /// <summary>
    /// Writes a readme's section: for each device, shape and format of weights a table, with the best of the peers beside it, then what not
    /// padding is worth.
    /// </summary>
    public static string Write(IReadOnlyList<ResultFile> results, IReadOnlyList<PeerFigures> peers, IReadOnlyList<PaddingFile> paddings)
    {
        var text = new StringBuilder();
        foreach ((BenchResult result, string? picture) in results)
        {
            // Peers were measured under load: beside a device that rests they would look slower than they are.
            PeerFigures[] known = result.Rest > 0 ? [] : [.. peers.Where(peer => peer.IsOf(result.Device))];
            AddHeader(text, result, known);
            if (picture is not null)
            {
                text.AppendLine($"![{result.Device}, {result.Day}]({picture})");
                text.AppendLine();
            }

            foreach (IGrouping<(string Shape, string Weights), BenchRow> rows in result.Rows.GroupBy(row => (row.Shape, row.Weights)))
            {
                AddTable(text, rows.Key.Shape, rows.Key.Weights, [.. rows], known);
            }
        }

        foreach (PaddingFile padding in paddings)
        {
            PaddingText.Write(text, padding);
        }

        return text.Replace("\r", "").ToString();
    }

    private static void AddHeader(StringBuilder text, BenchResult result, PeerFigures[] peers)
    {
        string driver = result.Driver is null ? "" : $", driver {result.Driver}";
        string throttle = result.Throttle is null ? "" : $" At the ceilings it was held back by: {result.Throttle}.";
        string rate = result.MatrixTflops is null ? "" : $", {Rate(result.MatrixTflops.Value)} ({result.MatrixSource})";
        text.AppendLine(Invariant($"### {result.Device}, {result.Day}"));
        text.AppendLine();
        text.AppendLine(Invariant(
            $"`moe bench`, version {result.Version}{driver}, {result.Routing} routing{BenchTable.RestText(result)}. Ceilings of the same run: copy {result.CopyGbps:0} GB/s, read {result.ReadGbps:0} GB/s{rate}.{throttle}"));
        text.AppendLine(Invariant(
            $"Time: median of the whole layer, router to combine, ± half the distance of the 10th and the 90th percentile; every row was checked against float64 in the same run. Floor: the larger of the distinct experts' bytes ÷ {result.FloorBandwidth} bandwidth and of operations ÷ matrix rate."));
        foreach (PeerFigures peer in peers.Where(peer => result.Rows.Any(row => peer.Points(row.Shape, row.Weights).Any())))
        {
            text.AppendLine(Invariant($"Peers, {peer.Device}, {peer.Date}: {peer.Measured} Their best time ÷ the floor of their own run stands beside ours."));
        }

        foreach (string note in result.Notes)
        {
            text.AppendLine($"Note: {note}");
        }

        text.AppendLine();
    }

    private static void AddTable(StringBuilder text, string shape, string weights, BenchRow[] rows, PeerFigures[] peers)
    {
        string[] backends = [.. rows.Select(row => row.Backend).Distinct()];
        ILookup<int, PeerPoint> points = peers.SelectMany(peer => peer.Points(shape, weights)).ToLookup(point => point.Tokens);
        bool hasPeers = points.Count > 0;
        text.AppendLine(Invariant($"**{shape}**, {weights.ToUpperInvariant()} weights, microseconds:"));
        text.AppendLine();
        text.Append("| tokens | floor |");
        text.Append(string.Concat(backends.Select(backend => $" {backend} | ÷ floor |")));
        text.AppendLine(hasPeers ? " best peer ÷ its floor |" : "");
        text.Append("|--:|--:|");
        text.Append(string.Concat(backends.Select(_ => "--:|--:|")));
        text.AppendLine(hasPeers ? "--:|" : "");
        foreach (IGrouping<int, BenchRow> same in rows.GroupBy(row => row.Tokens).OrderBy(group => group.Key))
        {
            text.Append(Invariant($"| {same.Key} | {Time(same.Min(row => row.FloorMicroseconds))} |"));
            foreach (string backend in backends)
            {
                text.Append(Cells(same.FirstOrDefault(row => row.Backend == backend)));
            }

            text.AppendLine(hasPeers ? $" {Best(points[same.Key])} |" : "");
        }

        text.AppendLine();
    }

    private static string Cells(BenchRow? row) => row switch
    {
        null => " | |",
        { Right: true, Microseconds: double time, Spread: double spread, RatioToFloor: double ratio } =>
            Invariant($" {Time(time)} ± {Time(spread)} | {ratio:0.00} |"),
        _ => " wrong | |",
    };

    private static string Best(IEnumerable<PeerPoint> points) =>
        points.MinBy(point => point.Ratio) is PeerPoint best ? Invariant($"{best.Ratio:0.00} ({best.Name})") : "";

    private static string Time(double microseconds) => microseconds switch
    {
        < 10 => Invariant($"{microseconds:0.00}"),
        < 1000 => Invariant($"{microseconds:0.0}"),
        _ => Invariant($"{microseconds:0}"),
    };

    private static string Rate(double teraflops) => teraflops < 1 ? Invariant($"{teraflops * 1e3:0} GFLOP/s") : Invariant($"{teraflops:0} TFLOP/s");
}
