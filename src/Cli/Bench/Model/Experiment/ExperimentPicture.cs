using System.Globalization;
using ScottPlot;

namespace Moe.Plugins.Cli;

/// <summary>A whole model's ways as a picture: for each context how many more tokens a second skipping and fusing bring, over sequences.</summary>
internal static class ExperimentPicture
{
    /// <summary>Room before the first points, for the labels beside the last ones, and above the highest.</summary>
    private const double LeftMargin = 0.1;
    private const double RightMargin = 0.25;
    private const double TopMargin = 1.15;

    /// <summary>Draws the rows.</summary>
    /// <exception cref="MoeException">The file cannot be written.</exception>
    public static void Save(string path, ExperimentResult result)
    {
        int[] contexts = [.. result.Steps.Select(row => row.Context).Distinct()];
        Panels.Save(
            path,
            contexts,
            legendLines: 2,
            (plot, context) => Draw(plot, result, context, [.. result.Steps.Where(row => row.Context == context).OrderBy(row => row.Batch)]));
    }

    private static void Draw(Plot plot, ExperimentResult result, int context, ExperimentRow[] rows)
    {
        plot.Title(string.Create(
            CultureInfo.InvariantCulture, $"{result.Model}, {result.Ranks} × {result.Device}, {RunStamp.Day(result.Date)}\ncontext {context}; labels: tokens per second"));
        plot.XLabel("sequences at once");
        plot.YLabel(rows[0].Padded is null ? "% more tokens per second than skipping" : "% more tokens per second than padded");
        DrawLine(plot, "fused", rows, row => row.Fused, Panels.ColorOf(0), labelOffset: -22);
        DrawLine(plot, "skipping", rows, row => row.Skipping, Panels.ColorOf(1), labelOffset: 6);
        plot.Axes.Bottom.TickGenerator = Panels.TokenTicks(rows.Select(row => row.Batch));
        plot.Add.HorizontalLine(0, 1, Colors.Black);
        double[] gains = [.. rows.SelectMany(row => ((ExperimentSide[])[row.Skipping, row.Fused]).Select(side => 100 * row.Gain(side)))];
        double top = Math.Max(gains.Max(), 1);
        plot.Axes.SetLimits(
            Math.Log10(rows[0].Batch) - LeftMargin, Math.Log10(rows[^1].Batch) + RightMargin, Math.Min(gains.Min(), 0) - (top * (TopMargin - 1)), top * TopMargin);
    }

    private static void DrawLine(Plot plot, string name, ExperimentRow[] rows, Func<ExperimentRow, ExperimentSide> side, Color color, float labelOffset)
    {
        double[] batches = [.. rows.Select(row => Math.Log10(row.Batch))], gains = [.. rows.Select(row => 100 * row.Gain(side(row)))];
        var line = plot.Add.Scatter(batches, gains);
        line.LegendText = name;
        line.Color = color;
        line.LineWidth = 3;
        line.MarkerSize = 11;
        for (int i = 0; i < rows.Length; i++)
        {
            var label = plot.Add.Text(side(rows[i]).TokensPerSecond.ToString("0", CultureInfo.InvariantCulture), batches[i], gains[i]);
            label.LabelOffsetX = 6;
            label.LabelOffsetY = labelOffset;
            label.LabelFontColor = color;
            label.LabelFontSize = 16;
        }
    }
}
