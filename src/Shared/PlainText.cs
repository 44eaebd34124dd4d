using System.Globalization;
using System.Text;

namespace Moe.Plugins;

/// <summary>
/// Text that strangers wrote (names, versions, paths, tensor names, messages of exceptions), made fit to be shown in a terminal, a log or an
/// exception: what would move the cursor, hide, or change the order of other text is shown as its code, and what is too long loses its middle.
/// </summary>
internal static class PlainText
{
    /// <summary>Characters of a name, a version or a path that are shown.</summary>
    public const int NameLength = 300;

    /// <summary>Characters of a message that are shown.</summary>
    public const int MessageLength = 8000;

    /// <summary>Letters that look like nothing or like a space, though their category says otherwise.</summary>
    private static readonly int[] Blanks = [0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0];

    /// <summary>A name, on one line.</summary>
    /// <param name="text">What a stranger wrote; null is shown as nothing.</param>
    /// <param name="length">The most characters that are shown, before any of them is escaped.</param>
    public static string Of(string? text, int length = NameLength) => Escape(Shorten(text ?? "", length), keepLines: false);

    /// <summary>A message, with its line ends.</summary>
    public static string OfMessage(string? text) => Escape(Shorten(text ?? "", MessageLength), keepLines: true);

    /// <summary>Whether a message holds nothing that would be escaped.</summary>
    public static bool IsPlain(string text) => ReferenceEquals(Escape(text, keepLines: true), text);

    /// <summary>Takes the middle out of a text that is too long, and puts an ellipsis in its place.</summary>
    public static string Shorten(string text, int length)
    {
        if (text.Length <= length)
        {
            return text;
        }

        int tail = (length - 1) / 2;
        int head = length - 1 - tail;
        int from = text.Length - tail;

        // Both halves of a surrogate pair go together.
        head -= head > 0 && char.IsHighSurrogate(text[head - 1]) ? 1 : 0;
        from += from < text.Length && char.IsLowSurrogate(text[from]) ? 1 : 0;
        return string.Concat(text.AsSpan(0, head), "…", text.AsSpan(from));
    }

    /// <summary>Whether a character has no place in text that is shown: it controls, it is invisible, or it turns the direction of writing.</summary>
    public static bool IsHidden(Rune rune) => rune.Value != ' ' && (Rune.GetUnicodeCategory(rune) switch
    {
        UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator => true,
        UnicodeCategory.SpaceSeparator or UnicodeCategory.PrivateUse or UnicodeCategory.OtherNotAssigned or UnicodeCategory.Surrogate => true,
        _ => false,
    } || Blanks.AsSpan().Contains(rune.Value) || rune.Value is (>= 0xFE00 and <= 0xFE0F) or (>= 0xE0100 and <= 0xE01EF));

    private static string Escape(string text, bool keepLines)
    {
        StringBuilder? escaped = null;
        for (int i = 0; i < text.Length;)
        {
            bool isWhole = Rune.TryGetRuneAt(text, i, out Rune rune);
            int length = isWhole ? rune.Utf16SequenceLength : 1;
            bool isShown = isWhole && (!IsHidden(rune) || (keepLines && IsLineEnd(text, i)));
            if (!isShown)
            {
                escaped ??= new StringBuilder(text, 0, i, text.Length + 16);
                escaped.Append(Code(isWhole ? rune.Value : text[i]));
            }
            else
            {
                escaped?.Append(text, i, length);
            }

            i += length;
        }

        return escaped?.ToString() ?? text;
    }

    /// <summary>A carriage return alone moves the cursor back; before a line feed it is part of a line end.</summary>
    private static bool IsLineEnd(string text, int at) => text[at] == '\n' || (text[at] == '\r' && at + 1 < text.Length && text[at + 1] == '\n');

    private static string Code(int value) => value switch
    {
        '\n' => @"\n",
        '\r' => @"\r",
        '\t' => @"\t",
        _ => string.Create(CultureInfo.InvariantCulture, $"\\u{{{value:X4}}}"),
    };
}
