using System.Globalization;
using ScottPlot;

namespace Moe.Plugins.Cli;

/// <summary>A result as a picture: for each shape microseconds over tokens, both logarithmic.</summary>
internal static class BenchPicture
{
    private const int PanelWidth = 1100;
    private const int PanelHeight = 700;

    private static readonly MarkerShape[] PeerMarkers =
    [
        MarkerShape.OpenCircle, MarkerShape.OpenSquare, MarkerShape.OpenTriangleUp, MarkerShape.OpenDiamond, MarkerShape.Cross,
        MarkerShape.Eks, MarkerShape.OpenTriangleDown, MarkerShape.Asterisk,
    ];

    /// <summary>Draws the rows that are right.</summary>
    /// <exception cref="MoeException">The file cannot be written.</exception>
    public static void Save(string path, BenchResult result, PeerFigures? peers)
    {
        BenchRow[] rows = [.. result.Rows.Where(row => row.Right)];
        Panels.Save(
            path,
            [.. rows.Select(row => row.Shape).Distinct()],
            PanelWidth,
            PanelHeight,
            (plot, shape) => Draw(plot, result, shape, [.. rows.Where(row => row.Shape == shape)], peers));
    }

    private static void Draw(Plot plot, BenchResult result, string shape, BenchRow[] rows, PeerFigures? peers)
    {
        string grey = peers is null ? "" : $"\ngrey: peers on {peers.Device}, {peers.Date}";
        plot.Title($"{shape}, {result.Device}, {result.Day}, {result.Routing} routing{grey}");
        plot.XLabel("tokens");
        plot.YLabel("microseconds a layer");
        int color = 0;
        int marker = 0;
        int mostTokens = rows.Max(row => row.Tokens);
        foreach (IGrouping<string, BenchRow> format in rows.GroupBy(row => row.Weights))
        {
            DrawFloor(plot, format.Key, format);
            foreach (IGrouping<string, BenchRow> backend in format.GroupBy(row => row.Backend))
            {
                AddLine(plot, $"{backend.Key} ({format.Key})", backend.Select(row => (row.Tokens, row.Microseconds!.Value)), Panels.ColorOf(color++));
            }

            if (peers is not null)
            {
                marker = DrawPeers(plot, peers.Points(shape, format.Key).Where(point => point.Tokens <= mostTokens), format.Key, marker);
            }
        }

        plot.Axes.Bottom.TickGenerator = Panels.TokenTicks(rows.Select(row => row.Tokens));
        plot.Axes.Left.TickGenerator = TimeTicks(rows);
        plot.ShowLegend(Edge.Right);
        plot.Axes.AutoScale();
    }

    private static void DrawFloor(Plot plot, string weights, IEnumerable<BenchRow> rows)
    {
        // Of several backends that route alike, the floors are one line.
        (int Tokens, double Time)[] points =
            [.. rows.GroupBy(row => row.Tokens).Select(same => (same.Key, same.Min(row => row.FloorMicroseconds))).OrderBy(point => point.Key)];
        var line = plot.Add.Scatter(Log(points.Select(point => (double)point.Tokens)), Log(points.Select(point => point.Time)));
        line.LegendText = $"floor ({weights})";
        line.Color = Colors.Black;
        line.LinePattern = weights == "mxfp4" ? LinePattern.Dashed : LinePattern.Dotted;
        line.LineWidth = 2;
        line.MarkerSize = 0;
    }

    private static void AddLine(Plot plot, string name, IEnumerable<(int Tokens, double Time)> points, Color color)
    {
        (int Tokens, double Time)[] ordered = [.. points.OrderBy(point => point.Tokens)];
        var line = plot.Add.Scatter(Log(ordered.Select(point => (double)point.Tokens)), Log(ordered.Select(point => point.Time)));
        line.LegendText = name;
        line.Color = color;
        line.LineWidth = 3;
        line.MarkerSize = 8;
    }

    /// <summary>Draws points without lines.</summary>
    /// <returns>The next marker, so that no two peers have the same.</returns>
    private static int DrawPeers(Plot plot, IEnumerable<PeerPoint> peers, string weights, int marker)
    {
        foreach (IGrouping<string, PeerPoint> peer in peers.GroupBy(point => point.Name))
        {
            var points = plot.Add.ScatterPoints(
                Log(peer.Select(point => (double)point.Tokens)), Log(peer.Select(point => point.Microseconds)), Colors.Gray);
            points.LegendText = $"{peer.Key} ({weights})";
            points.MarkerShape = PeerMarkers[marker++ % PeerMarkers.Length];
            points.MarkerSize = 8;
            points.MarkerLineWidth = 1.5f;
        }

        return marker;
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
}
