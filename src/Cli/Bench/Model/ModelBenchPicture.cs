using System.Globalization;
using ScottPlot;

namespace Moe.Plugins.Cli;

/// <summary>A result as a picture: tokens per second over batch for each context, and what the floor allows, dashed.</summary>
internal static class ModelBenchPicture
{
    /// <summary>Draws the rows of decoding, and of peers.</summary>
    /// <exception cref="MoeException">The file cannot be written.</exception>
    public static void Save(string path, ModelBenchResult result, ModelPeers? peers) =>
        Panels.Save(path, [result], legendLines: 4, (plot, shown) => Draw(plot, shown, peers));

    private static void Draw(Plot plot, ModelBenchResult result, ModelPeers? peers)
    {
        ModelBenchRow[] rows = [.. result.Rows.Where(row => row.Phase == ModelBenchRow.Decode)];
        plot.Title($"{result.Model}, {result.Device}, {RunStamp.Day(result.Date)}");
        plot.XLabel("sequences");
        plot.YLabel("tokens a second, all sequences (dashed: the floor)");
        int color = 0;
        foreach (IGrouping<int, ModelBenchRow> context in rows.GroupBy(row => row.Context))
        {
            double[] batches = [.. context.Select(row => Math.Log10(row.Batch))];
            Color shade = Panels.ColorOf(color++);
            Line(plot, $"context {context.Key.ToString(CultureInfo.InvariantCulture)}", batches, [.. context.Select(row => row.TokensPerSecond)], shade, LinePattern.Solid);
            if (context.All(row => row.FloorMilliseconds is not null))
            {
                Line(plot, null, batches, [.. context.Select(row => row.Batch / row.FloorMilliseconds!.Value * 1e3)], shade, LinePattern.Dashed);
            }
        }

        foreach (IGrouping<string, ModelPeers.Row> peer in (peers?.Rows ?? []).Where(row => row.Phase == ModelBenchRow.Decode).GroupBy(row => row.Name))
        {
            Line(plot, peer.Key, [.. peer.Select(row => Math.Log10(row.Batch))], [.. peer.Select(row => row.TokensPerSecond)], Panels.ColorOf(color++), LinePattern.Dotted);
        }

        plot.Axes.Bottom.TickGenerator = Panels.TokenTicks(rows.Select(row => row.Batch));
        plot.ShowLegend();
        plot.Axes.AutoScale();
    }

    private static void Line(Plot plot, string? name, double[] x, double[] y, Color color, LinePattern pattern)
    {
        var line = plot.Add.Scatter(x, y);
        line.LegendText = name ?? "";
        line.Color = color;
        line.LineWidth = 3;
        line.MarkerSize = name is null ? 0 : 8;
        line.LinePattern = pattern;
    }
}
