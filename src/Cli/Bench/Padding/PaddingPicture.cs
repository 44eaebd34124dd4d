using System.Globalization;
using ScottPlot;

namespace Moe.Plugins.Cli;

/// <summary>A result as a picture: for each shape the share of a layer's time that is saved, over tokens.</summary>
internal static class PaddingPicture
{
    /// <summary>Room for the labels beside the last points, and above the highest.</summary>
    private const double SideMargin = 0.08;
    private const double TopMargin = 0.1;

    /// <summary>Draws the rows that are right.</summary>
    /// <exception cref="MoeException">The file cannot be written.</exception>
    public static void Save(string path, PaddingResult result)
    {
        PaddingRow[] rows = [.. result.Rows.Where(row => row.Right)];
        string[] shapes = [.. rows.Select(row => row.Shape).Distinct()];
        Panels.Save(
            path, shapes, legendLines: 1, (plot, shape) => Draw(plot, result, shape, [.. rows.Where(row => row.Shape == shape).OrderBy(row => row.Tokens)]));
    }

    private static void Draw(Plot plot, PaddingResult result, string shape, PaddingRow[] rows)
    {
        plot.Title($"{shape}, {result.Device}, {result.Day}\nlabels: microseconds saved");
        plot.XLabel("tokens");
        plot.YLabel("% of the time saved");
        int color = 0;
        foreach (IGrouping<string, PaddingRow> backend in rows.GroupBy(row => row.Backend))
        {
            DrawLine(plot, backend.Key, [.. backend], Panels.ColorOf(color++));
        }

        plot.Axes.Bottom.TickGenerator = Panels.TokenTicks(rows.Select(row => row.Tokens));
        plot.Add.HorizontalLine(0, 1, Colors.Black);
        plot.Axes.Margins(SideMargin, TopMargin);
        plot.Axes.AutoScale();
    }

    private static void DrawLine(Plot plot, string name, PaddingRow[] rows, Color color)
    {
        double[] tokens = [.. rows.Select(row => Math.Log10(row.Tokens))];
        double[] shares = [.. rows.Select(row => 100 * row.SavedShare!.Value)];
        double[] spreads = [.. rows.Select(row => 100 * row.SavedSpread!.Value / row.Padded.Microseconds!.Value)];
        var line = plot.Add.Scatter(tokens, shares);
        line.LegendText = name;
        line.Color = color;
        line.LineWidth = 3;
        line.MarkerSize = 11;
        plot.Add.ErrorBar(tokens, shares, spreads).Color = color;
        for (int i = 0; i < rows.Length; i++)
        {
            var label = plot.Add.Text(rows[i].SavedMicroseconds!.Value.ToString("0.0", CultureInfo.InvariantCulture), tokens[i], shares[i]);
            label.LabelOffsetX = 6;
            label.LabelOffsetY = -22;
            label.LabelFontColor = color;
            label.LabelFontSize = 16;
        }
    }
}
