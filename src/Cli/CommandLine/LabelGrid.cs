using Spectre.Console;
using Spectre.Console.Rendering;

namespace Moe.Plugins.Cli;

/// <summary>Lines of a label and a text, the texts below each other and wrapped in their own column.</summary>
internal sealed class LabelGrid
{
    private const int LabelWidth = 10;

    private readonly Grid _grid = new Grid()
        .AddColumn(new GridColumn().Width(LabelWidth).NoWrap().PadLeft(2).PadRight(0))
        .AddColumn(new GridColumn().PadLeft(0).PadRight(0));

    /// <summary>Adds a line of plain text.</summary>
    public void Add(string label, string text) => Add(label, new Text(text));

    /// <summary>Adds a line with colours in Spectre's markup.</summary>
    public void AddMarkup(string label, string markup) => Add(label, new Markup(markup));

    public void WriteTo(IAnsiConsole console) => console.Write(_grid);

    private void Add(string label, IRenderable text) => _grid.AddRow(new Markup($"[grey]{label}[/]"), text);
}
