using Spectre.Console;
using Spectre.Console.Rendering;

namespace Moe.Plugins.Cli;

/// <summary>
/// A table that breaks neither a number nor a header: on a console that is too narrow it leaves out the columns that matter least and says
/// which, and where even the others do not fit it becomes a line of names and values for each row.
/// </summary>
internal sealed class FittedTable
{
    private readonly List<Column> _columns = [];
    private readonly List<string[]> _rows = [];

    /// <summary>Adds a column that is always shown.</summary>
    public FittedTable Always(string header, bool isNumber = true) => Add(header, isNumber, int.MaxValue);

    /// <summary>Adds a column that may be left out; of two the one that was added later goes first.</summary>
    public FittedTable Optional(string header, bool isNumber = true) => Add(header, isNumber, _columns.Count);

    /// <summary>Adds a row of cells in Spectre's markup, one for each column.</summary>
    public void AddRow(params IEnumerable<string> cells) => _rows.Add([.. cells]);

    public void WriteTo(IAnsiConsole console)
    {
        var shown = Enumerable.Range(0, _columns.Count).ToList();
        while (WidthOf(console, shown) > console.Profile.Width)
        {
            int least = shown.Where(column => _columns[column].Rank != int.MaxValue).OrderByDescending(column => _columns[column].Rank).FirstOrDefault(-1);
            if (least < 0)
            {
                WriteLines(console);
                return;
            }

            shown.Remove(least);
        }

        console.Write(Create(shown));
        if (shown.Count < _columns.Count)
        {
            string hidden = string.Join(", ", Enumerable.Range(0, _columns.Count).Where(column => !shown.Contains(column)).Select(NameOf));
            console.Say($"[grey]Left out, since the line is {console.Profile.Width} columns wide: {hidden}.[/]");
        }
    }

    private FittedTable Add(string header, bool isNumber, int rank)
    {
        _columns.Add(new Column(header, isNumber, rank));
        return this;
    }

    /// <summary>A column's header; where others have the same one, with the column that it stands behind.</summary>
    private string NameOf(int column)
    {
        bool IsAlone(Column one) => _columns.Count(other => other.Header == one.Header) == 1;
        return IsAlone(_columns[column]) || _columns.Take(column).LastOrDefault(IsAlone) is not { } owner
            ? _columns[column].Header
            : $"{_columns[column].Header} of {owner.Header}";
    }

    private int WidthOf(IAnsiConsole console, List<int> shown) =>
        ((IRenderable)Create(shown)).Measure(RenderOptions.Create(console, console.Profile.Capabilities), int.MaxValue / 2).Max;

    private Table Create(List<int> shown)
    {
        var table = new Table { Border = TableBorder.Simple, ShowRowSeparators = false };
        foreach (int column in shown)
        {
            var added = new TableColumn(_columns[column].Header) { NoWrap = true };
            table.AddColumn(_columns[column].IsNumber ? added.RightAligned() : added);
        }

        foreach (string[] row in _rows)
        {
            table.AddRow([.. shown.Select(column => new Markup(row[column]))]);
        }

        return table;
    }

    /// <summary>A row as names and values, as many on a line as fit, and a value never apart from its name.</summary>
    private void WriteLines(IAnsiConsole console)
    {
        console.WriteLine();
        foreach (string[] row in _rows)
        {
            string line = "";
            for (int column = 0; column < row.Length; column++)
            {
                string pair = $"[grey]{Markup.Escape(_columns[column].Header)}[/] {row[column]}{(column + 1 < row.Length ? "," : "")}";
                string longer = line.Length == 0 ? $"  {pair}" : $"{line} {pair}";
                if (line.Length > 0 && Markup.Remove(longer).Length > console.Profile.Width)
                {
                    console.MarkupLine(line);
                    longer = $"    {pair}";
                }

                line = longer;
            }

            console.MarkupLine(line);
        }
    }

    private sealed record Column(string Header, bool IsNumber, int Rank);
}
