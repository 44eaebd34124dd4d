using System.Globalization;
using ScottPlot;

namespace Moe.Plugins.Cli;

/// <summary>A picture with a panel for each shape, side by side, over tokens.</summary>
internal static class Panels
{
    /// <summary>Colours that people with any colour vision tell apart (Okabe, Ito, "Color Universal Design", 2008).</summary>
    private static readonly Color[] Colors =
        [.. new[] { "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9" }.Select(hex => new Color(hex))];

    /// <summary>The colour of a panel's n-th line.</summary>
    public static Color ColorOf(int line) => Colors[line % Colors.Length];

    /// <summary>Draws and writes a PNG.</summary>
    /// <exception cref="MoeException">The file cannot be written.</exception>
    public static void Save(string path, IReadOnlyList<string> shapes, int width, int height, Action<Plot, string> draw)
    {
        var picture = new Multiplot();
        picture.AddPlots(shapes.Count);
        picture.Layout = new ScottPlot.MultiplotLayouts.Columns();
        for (int i = 0; i < shapes.Count; i++)
        {
            draw(picture.GetPlot(i), shapes[i]);
        }

        try
        {
            picture.SavePng(path, width * shapes.Count, height);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new MoeException(MoeReason.NotFound, $"'{path}' cannot be written: {exception.Message}", exception);
        }
    }

    /// <summary>A tick for each number of tokens, where its logarithm stands.</summary>
    public static ScottPlot.TickGenerators.NumericManual TokenTicks(IEnumerable<int> tokens)
    {
        var ticks = new ScottPlot.TickGenerators.NumericManual();
        foreach (int count in tokens.Distinct())
        {
            ticks.AddMajor(Math.Log10(count), count.ToString(CultureInfo.InvariantCulture));
        }

        return ticks;
    }
}
