using Spectre.Console;
using static System.FormattableString;

namespace Moe.Plugins.Cli;

/// <summary>Which rows were measured while something held the device back, for a person.</summary>
internal static class HeldBackText
{
    public static void Write(IAnsiConsole console, IEnumerable<(string Backend, string Shape, int Tokens, string? Throttle)> rows)
    {
        foreach (var same in rows.Where(row => row.Throttle is not null).GroupBy(row => row.Throttle))
        {
            string where = string.Join(", ", same.Select(row => Invariant($"{row.Backend} {row.Shape} {row.Tokens}")));
            console.Say($"[yellow]held back[/] ({same.Key}): {where}");
        }
    }
}
