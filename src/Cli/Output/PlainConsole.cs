using System.Globalization;
using Spectre.Console;

namespace Moe.Plugins.Cli;

/// <summary>Writes lines for people, in which what strangers wrote is shown as <see cref="PlainText"/> has it.</summary>
internal static class PlainConsole
{
    /// <summary>Characters of one part of a line: of a message that is no more than a sentence or two.</summary>
    private const int PartLength = 1000;

    /// <summary>Writes a line in Spectre's markup; what is filled in is text, whatever it looks like.</summary>
    public static void Say(this IAnsiConsole console, FormattableString line)
    {
        object?[] parts = [.. line.GetArguments().Select(static part => part is IFormattable ? part : Show(part?.ToString()))];
        console.MarkupLine(string.Format(CultureInfo.InvariantCulture, line.Format, parts));
    }

    /// <summary>A text that a stranger may have had a hand in, as Spectre's markup.</summary>
    public static string Show(string? text) => Markup.Escape(PlainText.Of(text, PartLength));

    /// <summary>A path, without folders from its middle where it is too long for its place.</summary>
    public static string FitPath(string path, int width)
    {
        string shown = PlainText.Of(path, PartLength);
        string[] parts = shown.Split('/');
        for (int left = 2; left < parts.Length; left++)
        {
            if (shown.Length <= width)
            {
                break;
            }

            // The first folder and the last ones say the most.
            shown = $"{string.Join('/', parts[..2])}/…/{string.Join('/', parts[^(parts.Length - left)..])}";
        }

        return PlainText.Shorten(shown, width);
    }
}
