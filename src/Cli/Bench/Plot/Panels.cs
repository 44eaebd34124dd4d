using System.Globalization;
using ScottPlot;

namespace Moe.Plugins.Cli;

/// <summary>
/// A picture of panels below each other, over tokens: so narrow, and with letters so large, that it can be read on a page and on a phone.
/// </summary>
internal static class Panels
{
    private const int Width = 900;
    private const int PlotHeight = 560;
    private const int LegendLine = 30;
    private const float LeftAxis = 110;
    private const float LetterSize = 20;

    /// <summary>Colours that people with any colour vision tell apart (Okabe, Ito, "Color Universal Design", 2008).</summary>
    private static readonly Color[] Colors =
        [.. new[] { "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9" }.Select(hex => new Color(hex))];

    /// <summary>The colour of a panel's n-th line.</summary>
    public static Color ColorOf(int line) => Colors[line % Colors.Length];

    /// <summary>Draws and writes a PNG.</summary>
    /// <param name="path">The file.</param>
    /// <param name="panels">What each panel is drawn from.</param>
    /// <param name="legendLines">Lines of legend that a panel has at most.</param>
    /// <param name="draw">Draws one.</param>
    /// <exception cref="MoeException">The file cannot be written.</exception>
    public static void Save<T>(string path, IReadOnlyList<T> panels, int legendLines, Action<Plot, T> draw)
    {
        var picture = new Multiplot();
        picture.AddPlots(panels.Count);
        picture.Layout = new ScottPlot.MultiplotLayouts.Rows();
        for (int i = 0; i < panels.Count; i++)
        {
            Plot plot = picture.GetPlot(i);
            draw(plot, panels[i]);
            Enlarge(plot);
        }

        Image image = picture.Render(Width, (PlotHeight + (legendLines * LegendLine)) * panels.Count);
        WholeFile.Write(path, stream => stream.Write(image.GetImageBytes(ImageFormat.Png)));
    }

    /// <summary>A tick for each number of tokens, where its logarithm stands; only each second one has a label where they are many.</summary>
    public static ScottPlot.TickGenerators.NumericManual TokenTicks(IEnumerable<int> tokens)
    {
        const int MostLabels = 9;
        var ticks = new ScottPlot.TickGenerators.NumericManual();
        int[] counts = [.. tokens.Distinct().Order()];
        for (int i = 0; i < counts.Length; i++)
        {
            bool hasLabel = counts.Length <= MostLabels || i % 2 == 0;
            ticks.AddMajor(Math.Log10(counts[i]), hasLabel ? counts[i].ToString(CultureInfo.InvariantCulture) : "");
        }

        return ticks;
    }

    private static void Enlarge(Plot plot)
    {
        plot.Axes.Title.Label.FontSize = LetterSize;
        foreach (IAxis axis in plot.Axes.GetAxes())
        {
            axis.Label.FontSize = LetterSize;
            axis.TickLabelStyle.FontSize = LetterSize - 2;
        }

        // Room for the widest label, which is known only once it is drawn.
        plot.Axes.Left.MinimumSize = LeftAxis;
        plot.Legend.FontSize = LetterSize - 2;
        plot.Legend.Orientation = Orientation.Horizontal;
        plot.Legend.TightHorizontalWrapping = true;
        plot.Legend.OutlineWidth = 0;
        plot.Legend.ShadowColor = ScottPlot.Colors.Transparent;
        plot.ShowLegend(Edge.Bottom);
    }
}
