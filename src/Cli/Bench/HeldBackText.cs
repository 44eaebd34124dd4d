using System.Globalization;
using System.Text.RegularExpressions;
using Spectre.Console;
using static System.FormattableString;

namespace Moe.Plugins.Cli;

/// <summary>Which rows were measured while something held the device back, for a person: a reason once, with the range of its numbers.</summary>
internal static partial class HeldBackText
{
    public static void Write(IAnsiConsole console, IEnumerable<(string Backend, string Shape, int Tokens, string? Throttle)> rows) =>
        Write(console, rows.Select(row => (Invariant($"{row.Backend} {row.Shape} {row.Tokens}"), row.Throttle)));

    public static void Write(IAnsiConsole console, IEnumerable<(string Row, string? Throttle)> rows)
    {
        foreach (var same in rows.Where(row => row.Throttle is not null).GroupBy(row => Number().Replace(row.Throttle!, "#")))
        {
            console.Say($"[yellow]held back[/] ({Together([.. same.Select(row => row.Throttle!)])}): {string.Join(", ", same.Select(row => row.Row))}");
        }
    }

    /// <summary>One sentence for several that differ in their numbers only.</summary>
    private static string Together(string[] reasons)
    {
        string[][] numbers = [.. reasons.Select(reason => Number().Matches(reason).Select(match => match.Value).ToArray())];
        int next = 0;
        return Number().Replace(reasons[0], _ =>
        {
            int place = next++;
            string[] ordered = [.. numbers.Select(row => row[place]).OrderBy(text => double.Parse(text, CultureInfo.InvariantCulture))];
            return ordered[0] == ordered[^1] ? ordered[0] : $"{ordered[0]} to {ordered[^1]}";
        });
    }

    [GeneratedRegex(@"\d+(\.\d+)?")]
    private static partial Regex Number();
}
