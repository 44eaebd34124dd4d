using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Microsoft.ML.Tokenizers;

namespace Moe.Plugins.GptOss;

/// <summary>
/// Splits text by a pattern over code points. .NET's patterns see a character beyond the basic plane as two surrogates, which are no
/// letters; here each is matched as a character of the basic plane of its own category.
/// </summary>
internal sealed class CodePointPreTokenizer(Regex pattern) : PreTokenizer
{
    public override IEnumerable<(int Offset, int Length)> PreTokenize(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return text.AsSpan().IndexOfAnyInRange('\uD800', '\uDFFF') < 0 ? Split(text) : SplitCodePoints(text);
    }

    public override IEnumerable<(int Offset, int Length)> PreTokenize(ReadOnlySpan<char> text) => PreTokenize(text.ToString());

    private IEnumerable<(int Offset, int Length)> Split(string text)
    {
        int end = 0;
        foreach (Match match in pattern.Matches(text))
        {
            if (match.Index > end)
            {
                yield return (end, match.Index - end);
            }

            if (match.Length > 0)
            {
                yield return (match.Index, match.Length);
            }

            end = match.Index + match.Length;
        }

        if (end < text.Length)
        {
            yield return (end, text.Length - end);
        }
    }

    private IEnumerable<(int Offset, int Length)> SplitCodePoints(string text)
    {
        var places = new List<int>();
        var standIns = new StringBuilder();
        for (int i = 0; i < text.Length;)
        {
            places.Add(i);
            _ = Rune.TryGetRuneAt(text, i, out Rune rune);
            bool isPair = rune.Utf16SequenceLength == 2;
            standIns.Append(isPair ? StandIn(rune) : text[i]);
            i += isPair ? 2 : 1;
        }

        places.Add(text.Length);
        foreach ((int offset, int length) in Split(standIns.ToString()))
        {
            yield return (places[offset], places[offset + length] - places[offset]);
        }
    }

    private static char StandIn(Rune rune) => Rune.GetUnicodeCategory(rune) switch
    {
        UnicodeCategory.UppercaseLetter => 'Q',
        UnicodeCategory.LowercaseLetter => 'q',
        UnicodeCategory.TitlecaseLetter => '\u01C5',
        UnicodeCategory.ModifierLetter => '\u02B0',
        UnicodeCategory.OtherLetter => '\u4E2D',
        UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark => '\u0300',
        UnicodeCategory.DecimalDigitNumber or UnicodeCategory.LetterNumber or UnicodeCategory.OtherNumber => '7',
        _ => '\u20AC',
    };
}
