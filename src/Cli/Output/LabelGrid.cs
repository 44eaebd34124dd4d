using Spectre.Console;
using Spectre.Console.Rendering;

namespace Moe.Plugins.Cli;

/// <summary>Lines of a label and a text, the texts below each other and wrapped in their own column.</summary>
internal sealed class LabelGrid
{
    private const int Indent = 2;
    private const int LabelWidth = 10;

    private readonly List<(string Label, Func<int, IRenderable> Text)> _lines = [];

    /// <summary>Adds a line of plain text.</summary>
    public void Add(string label, string text) => _lines.Add((label, _ => new Text(PlainText.OfMessage(text))));

    /// <summary>Adds a path, on one line.</summary>
    public void AddPath(string label, string path) => _lines.Add((label, width => new Text(PlainConsole.FitPath(path, width))));

    /// <summary>Adds a line with colours in Spectre's markup; what is filled in is text, whatever it looks like.</summary>
    public void AddMarkup(string label, string markup) => _lines.Add((label, _ => new Markup(markup)));

    public void WriteTo(IAnsiConsole console)
    {
        Grid grid = new Grid()
            .AddColumn(new GridColumn().Width(LabelWidth).NoWrap().PadLeft(Indent).PadRight(0))
            .AddColumn(new GridColumn().PadLeft(0).PadRight(0));
        foreach ((string label, Func<int, IRenderable> text) in _lines)
        {
            grid.AddRow(new Markup($"[grey]{label}[/]"), text(console.Profile.Width - LabelWidth - Indent));
        }

        console.Write(grid);
    }
}
