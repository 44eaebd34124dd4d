using System.Globalization;
using ScottPlot;

namespace Moe.Plugins.Cli;

/// <summary>
/// A result as a picture: for each shape and format of weights a panel of microseconds over tokens, both logarithmic, with the spread of each
/// point, the floor, and others' figures as grey lines that each bear a letter.
/// </summary>
internal static class BenchPicture
{
    /// <summary>What a letter takes of a panel's height, about.</summary>
    private const double LetterHeight = 0.04;

    /// <summary>Draws the rows that are right.</summary>
    /// <exception cref="MoeException">The file cannot be written.</exception>
    public static void Save(string path, BenchResult result, PeerFigures? peers)
    {
        Panel[] panels =
        [
            .. result.Rows.Where(row => row.Right)
                .GroupBy(row => (row.Shape, row.Weights))
                .Select(rows => new Panel(rows.Key.Shape, rows.Key.Weights, [.. rows.OrderBy(row => row.Tokens)])),
        ];
        Panels.Save(path, panels, peers is null ? 2 : 6, (plot, panel) => Draw(plot, result, panel, peers));
    }

    private static void Draw(Plot plot, BenchResult result, Panel panel, PeerFigures? peers)
    {
        plot.Title($"{panel.Shape}, {panel.Weights.ToUpperInvariant()} weights\n{result.Device}, {result.Day}, {result.Routing} routing");
        plot.XLabel("tokens");
        plot.YLabel("microseconds per layer");
        int mostTokens = panel.Rows.Max(row => row.Tokens);
        if (peers is not null)
        {
            Panels.AddNote(plot, $"grey: {peers.Device}, {peers.Date}");
            DrawPeers(plot, [.. peers.Points(panel.Shape, panel.Weights).Where(point => point.Tokens <= mostTokens)]);
        }

        DrawFloor(plot, panel);
        int color = 0;
        foreach (IGrouping<string, BenchRow> backend in panel.Rows.GroupBy(row => row.Backend))
        {
            DrawBackend(plot, backend.Key, [.. backend], Panels.ColorOf(color++));
        }

        Panels.NoteHeldBack(plot, panel.Rows.Select(row => row.Throttle));
        plot.Axes.Bottom.TickGenerator = Panels.TokenTicks(panel.Rows.Select(row => row.Tokens));
        plot.Axes.Left.TickGenerator = TimeTicks(panel.Rows);
        plot.Axes.AutoScale();
    }

    private static void DrawFloor(Plot plot, Panel panel)
    {
        // Of several backends that route alike, the floors are one line.
        (int Tokens, double Time)[] points =
            [.. panel.Rows.GroupBy(row => row.Tokens).Select(same => (same.Key, same.Min(row => row.FloorMicroseconds)))];
        var line = plot.Add.Scatter(Log(points.Select(point => (double)point.Tokens)), Log(points.Select(point => point.Time)));
        line.LegendText = "floor";
        line.Color = Colors.Black;
        line.LinePattern = LinePattern.Dashed;
        line.LineWidth = 2;
        line.MarkerSize = 0;
    }

    private static void DrawBackend(Plot plot, string name, BenchRow[] rows, Color color) => Panels.DrawMeasured(plot, name, color, [.. rows.Select(row =>
    {
        double time = row.Microseconds!.Value, spread = row.Spread ?? 0;
        return new Panels.Point(
            Math.Log10(row.Tokens), Math.Log10(time), Math.Log10(Math.Max(time - spread, time / 10)), Math.Log10(time + spread), row.Throttle);
    })]);

    /// <summary>Draws each peer as a thin line whose points are its letter.</summary>
    private static void DrawPeers(Plot plot, PeerPoint[] points)
    {
        var letters = new Dictionary<string, char>();
        foreach (IGrouping<string, PeerPoint> peer in points.GroupBy(point => point.Name))
        {
            PeerPoint[] ordered = [.. peer.OrderBy(point => point.Tokens)];
            var line = plot.Add.Scatter(Log(ordered.Select(point => (double)point.Tokens)), Log(ordered.Select(point => point.Microseconds)));
            line.Color = Panels.Grey.WithAlpha(0.45);
            line.LineWidth = 1.5f;
            line.MarkerSize = 0;
            letters[peer.Key] = (char)('A' + letters.Count);
            Panels.AddNote(plot, $"{letters[peer.Key]} {peer.Key}");
        }

        DrawLetters(plot, points, letters);
    }

    /// <summary>Writes the letters. Where two would cover each other, the one that was written less often has the place.</summary>
    private static void DrawLetters(Plot plot, PeerPoint[] points, Dictionary<string, char> letters)
    {
        var written = letters.Keys.ToDictionary(name => name, _ => 0);
        double height = points.Length == 0 ? 0 : Math.Log10(points.Max(point => point.Microseconds) / points.Min(point => point.Microseconds));
        foreach (IGrouping<int, PeerPoint> column in points.GroupBy(point => point.Tokens))
        {
            var taken = new List<double>();
            foreach (PeerPoint point in column.OrderBy(point => written[point.Name]))
            {
                double time = Math.Log10(point.Microseconds);
                if (taken.Exists(other => Math.Abs(other - time) < LetterHeight * height))
                {
                    continue;
                }

                taken.Add(time);
                written[point.Name]++;
                var text = plot.Add.Text(letters[point.Name].ToString(), Math.Log10(point.Tokens), time);
                text.LabelFontSize = 16;
                text.LabelBold = true;
                text.LabelFontColor = Panels.Grey;
                text.LabelBackgroundColor = Colors.White;
                text.LabelAlignment = Alignment.MiddleCenter;
            }
        }
    }

    /// <summary>1, 2 and 5 times the powers of ten, far enough to both sides for peers that are slower or faster.</summary>
    private static ScottPlot.TickGenerators.NumericManual TimeTicks(BenchRow[] rows)
    {
        var ticks = new ScottPlot.TickGenerators.NumericManual();
        int first = (int)Math.Floor(Math.Log10(rows.Min(row => row.FloorMicroseconds))) - 1;
        int last = (int)Math.Ceiling(Math.Log10(rows.Max(row => row.Microseconds!.Value))) + 1;
        for (int power = first; power <= last; power++)
        {
            foreach (int digit in (int[])[1, 2, 5])
            {
                double time = digit * Math.Pow(10, power);
                ticks.AddMajor(Math.Log10(time), time.ToString("#,0.###", CultureInfo.InvariantCulture));
            }
        }

        return ticks;
    }

    private static double[] Log(IEnumerable<double> values) => [.. values.Select(Math.Log10)];

    private sealed record Panel(string Shape, string Weights, BenchRow[] Rows);
}
