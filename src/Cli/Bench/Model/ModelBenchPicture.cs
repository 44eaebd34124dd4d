using System.Globalization;
using ScottPlot;

namespace Moe.Plugins.Cli;

/// <summary>
/// A result as a picture: a panel of prompts, tokens per second over their length, and one of answers, tokens per second over sequences for
/// each context. With the spread of each point, what the floor allows (dashed), and others' figures (dotted).
/// </summary>
internal static class ModelBenchPicture
{
    private const double TopMargin = 1.08;

    /// <summary>Draws the rows, and those of peers.</summary>
    /// <exception cref="MoeException">The file cannot be written.</exception>
    public static void Save(string path, ModelBenchResult result, ModelPeers? peers)
    {
        string[] phases = [.. result.Rows.Select(row => row.Phase).Distinct()];
        Panels.Save(path, phases, legendLines: 4, (plot, phase) => Draw(plot, result, phase, peers));
    }

    /// <summary>Draws the panel of a phase.</summary>
    public static void Draw(Plot plot, ModelBenchResult result, string phase, ModelPeers? peers)
    {
        bool isDecode = phase == ModelBenchRow.Decode;
        ModelBenchRow[] rows = [.. result.Rows.Where(row => row.Phase == phase)];
        plot.Title($"{phase}: {result.Model}\n{result.Device}, {RunStamp.Day(result.Date)}");
        plot.XLabel(isDecode ? "sequences at once; rates are of all together" : "tokens of the prompt");
        plot.YLabel("tokens per second (dashed: the floor)");
        int color = 0;
        double top = 0;
        foreach (IGrouping<int, ModelBenchRow> line in rows.GroupBy(row => row.Context))
        {
            Color shade = Panels.ColorOf(color++);
            Panels.Point[] points = [.. line.Select(row => PointOf(row, isDecode)).OrderBy(point => point.X)];
            Panels.DrawMeasured(plot, isDecode ? $"context {line.Key.ToString(CultureInfo.InvariantCulture)}" : "prompts", shade, points);
            top = Math.Max(top, points.Max(point => point.High));
            (double X, double Y)[] floor =
            [
                .. line.Where(row => row.FloorMilliseconds is not null)
                    .Select(row => (Math.Log10(isDecode ? row.Batch : row.Tokens), row.TokensPerSecond * row.Milliseconds / row.FloorMilliseconds!.Value))
                    .Order(),
            ];
            top = Math.Max(top, Line(plot, "", floor, shade, LinePattern.Dashed));
        }

        foreach (IGrouping<(string, int), ModelPeers.Row> peer in (peers?.Rows ?? []).Where(row => row.Phase == phase).GroupBy(row => (row.Name, isDecode ? row.Context : 0)))
        {
            (double X, double Y)[] points = [.. peer.Select(row => (Math.Log10(isDecode ? row.Batch : row.Context), row.TokensPerSecond)).Order()];
            string name = isDecode ? string.Create(CultureInfo.InvariantCulture, $"{peer.Key.Item1}, context {peer.Key.Item2}") : peer.Key.Item1;
            top = Math.Max(top, Line(plot, name, points, Panels.ColorOf(color++), LinePattern.Dotted));
        }

        if (peers is not null)
        {
            Panels.AddNote(plot, $"dotted: {PlainText.Of(peers.Measured, 60)}");
        }

        Panels.NoteHeldBack(plot, rows.Select(row => row.Throttle));
        plot.Axes.Bottom.TickGenerator = Panels.TokenTicks(rows.Select(row => isDecode ? row.Batch : row.Tokens));
        plot.Axes.AutoScale();

        // Rates are told apart by their ratio to nothing: the axis begins at 0.
        plot.Axes.SetLimitsY(0, top * TopMargin);
    }

    private static Panels.Point PointOf(ModelBenchRow row, bool isDecode)
    {
        double tokens = row.TokensPerSecond * row.Milliseconds;
        return new Panels.Point(
            Math.Log10(isDecode ? row.Batch : row.Tokens),
            row.TokensPerSecond,
            tokens / (row.Milliseconds + row.Spread),
            tokens / Math.Max(row.Milliseconds - row.Spread, row.Milliseconds / 10),
            row.Throttle);
    }

    /// <summary>Draws a line.</summary>
    /// <returns>Its highest point; 0 where it has none.</returns>
    private static double Line(Plot plot, string name, (double X, double Y)[] points, Color color, LinePattern pattern)
    {
        if (points.Length == 0)
        {
            return 0;
        }

        var line = plot.Add.Scatter([.. points.Select(point => point.X)], (double[])[.. points.Select(point => point.Y)]);
        line.LegendText = name;
        line.Color = color;
        line.LineWidth = 3;
        line.MarkerSize = name.Length == 0 ? 0 : 8;
        line.LinePattern = pattern;
        return points.Max(point => point.Y);
    }
}
