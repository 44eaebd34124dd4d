using System.Globalization;
using ScottPlot;

namespace Moe.Plugins.Cli;

/// <summary>A result's layers as a picture: for each shape the share of the padded way's time that skipping and fusing save, over tokens.</summary>
internal static class ParallelPicture
{
    /// <summary>Room for the labels beside the last points, and above the highest.</summary>
    private const double SideMargin = 0.08;
    private const double TopMargin = 0.1;

    /// <summary>Draws the rows that are right.</summary>
    /// <exception cref="MoeException">The file cannot be written.</exception>
    public static void Save(string path, ParallelResult result)
    {
        LayerRow[] rows = [.. result.Layers.Where(row => row.Right)];
        string[] shapes = [.. rows.Select(row => row.Shape).Distinct()];
        Panels.Save(
            path, shapes, legendLines: 4, (plot, shape) => Draw(plot, result, shape, [.. rows.Where(row => row.Shape == shape).OrderBy(row => row.Tokens)]));
    }

    private static void Draw(Plot plot, ParallelResult result, string shape, LayerRow[] rows)
    {
        plot.Title($"{shape}, {result.Ranks} × {result.Device}, {result.Day}\nlabels: microseconds of a layer, fused");
        plot.XLabel("tokens");
        plot.YLabel("% of the padded time saved");
        int color = 0;
        foreach (IGrouping<(string Backend, string Split), LayerRow> line in rows.GroupBy(row => (row.Backend, row.Split)))
        {
            DrawLine(plot, $"{line.Key.Backend}, by {line.Key.Split}, fused", [.. line], row => row.Fused!.Microseconds, Panels.ColorOf(color++), hasLabels: true);
            DrawLine(plot, $"{line.Key.Backend}, by {line.Key.Split}, skipping", [.. line], row => row.Skipping!.Microseconds, Panels.ColorOf(color++), hasLabels: false);
        }

        plot.Axes.Bottom.TickGenerator = Panels.TokenTicks(rows.Select(row => row.Tokens));
        plot.Add.HorizontalLine(0, 1, Colors.Black);
        plot.Axes.Margins(SideMargin, TopMargin);
        plot.Axes.AutoScale();
    }

    private static void DrawLine(Plot plot, string name, LayerRow[] rows, Func<LayerRow, double> time, Color color, bool hasLabels)
    {
        double[] tokens = [.. rows.Select(row => Math.Log10(row.Tokens))];
        double[] shares = [.. rows.Select(row => 100 * (1 - (time(row) / (row.Padded ?? row.Skipping)!.Microseconds)))];
        var line = plot.Add.Scatter(tokens, shares);
        line.LegendText = name;
        line.Color = color;
        line.LineWidth = hasLabels ? 3 : 1.5f;
        line.MarkerSize = hasLabels ? 11 : 7;
        for (int i = 0; i < rows.Length && hasLabels; i++)
        {
            var label = plot.Add.Text(time(rows[i]).ToString("0.0", CultureInfo.InvariantCulture), tokens[i], shares[i]);
            label.LabelOffsetX = 6;
            label.LabelOffsetY = -22;
            label.LabelFontColor = color;
            label.LabelFontSize = 16;
        }
    }
}
