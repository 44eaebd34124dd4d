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

    /// <summary>What others measured, and notes.</summary>
    public static Color Grey { get; } = new("#59626B");

    /// <summary>The colour of a panel's n-th line.</summary>
    public static Color ColorOf(int line) => Colors[line % Colors.Length];

    /// <summary>Draws and writes a PNG.</summary>
    /// <param name="path">The file.</param>
    /// <param name="panels">What each panel is drawn from.</param>
    /// <param name="legendLines">Lines of legend that a panel has at most.</param>
    /// <param name="draw">Draws one.</param>
    /// <exception cref="MoeException">The file cannot be written, or nothing can be drawn here (<see cref="MoeReason.MissingLibrary"/>).</exception>
    public static void Save<T>(string path, IReadOnlyList<T> panels, int legendLines, Action<Plot, T> draw)
    {
        try
        {
            Draw(path, panels, legendLines, draw);
        }
        catch (Exception exception) when (exception is TypeInitializationException or DllNotFoundException or EntryPointNotFoundException or BadImageFormatException or NullReferenceException)
        {
            // SkiaSharp, where its native library or what that needs is not there, or no font is.
            throw new MoeException(
                MoeReason.MissingLibrary,
                $"{path} was not drawn: pictures need libSkiaSharp, and on Linux libfontconfig and a font. {exception.GetBaseException().Message.ReplaceLineEndings(" ")}",
                exception);
        }
    }

    /// <summary>Saves a picture that is not all that was asked for: where nothing can be drawn, a warning says so.</summary>
    public static void TrySave(CommandConsole console, Action save)
    {
        try
        {
            save();
        }
        catch (MoeException exception) when (exception.Reason == MoeReason.MissingLibrary)
        {
            console.WriteWarning(exception.Message);
        }
    }

    private static void Draw<T>(string path, IReadOnlyList<T> panels, int legendLines, Action<Plot, T> draw)
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

    /// <summary>Draws a line of measured points with the spread of each; those that were measured while the device was held back are hollow.</summary>
    public static void DrawMeasured(Plot plot, string name, Color color, IReadOnlyList<Point> points)
    {
        double[] x = [.. points.Select(point => point.X)], y = [.. points.Select(point => point.Y)], none = new double[points.Count];
        var line = plot.Add.Scatter(x, y);
        line.LegendText = name;
        line.Color = color;
        line.LineWidth = 3;
        line.MarkerSize = 11;
        double[] below = [.. points.Select(point => point.Y - point.Low)], above = [.. points.Select(point => point.High - point.Y)];
        plot.Add.Plottable(new ScottPlot.Plottables.ErrorBar(x, y, none, none, below, above) { Color = color, LineWidth = 2, CapSize = 10 });
        foreach (Point point in points.Where(point => point.Throttle is not null))
        {
            plot.Add.Marker(point.X, point.Y, MarkerShape.FilledCircle, 6, ScottPlot.Colors.White);
        }
    }

    /// <summary>Says in the legend what hollow points are, if there are any.</summary>
    /// <param name="plot">The panel.</param>
    /// <param name="throttles">What held the device back at each point; null for nothing.</param>
    public static void NoteHeldBack(Plot plot, IEnumerable<string?> throttles)
    {
        if (throttles.FirstOrDefault(throttle => throttle is not null) is string heldBack)
        {
            AddNote(plot, $"hollow: measured while held back ({PlainText.Of(heldBack, 60)})");
        }
    }

    /// <summary>Adds a line of text to the legend.</summary>
    public static void AddNote(Plot plot, string text) =>
        plot.Legend.ManualItems.Add(new LegendItem { LabelText = text, LineWidth = 0, MarkerSize = 0, LabelFontColor = Grey });

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

    /// <summary>A measured point, as the axes count.</summary>
    /// <param name="X">Where it is.</param>
    /// <param name="Y">What was measured.</param>
    /// <param name="Low">Where its spread begins.</param>
    /// <param name="High">Where its spread ends.</param>
    /// <param name="Throttle">What held the device back meanwhile; null for nothing.</param>
    internal readonly record struct Point(double X, double Y, double Low, double High, string? Throttle);
}
