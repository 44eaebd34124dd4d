namespace Moe.Plugins.Cli.Tests;

public sealed class PlainTextTests
{
    [Theory]
    [InlineData("Mxfp4.Marlin 1.2 – größer, 日本語 e\u0301", "Mxfp4.Marlin 1.2 – größer, 日本語 e\u0301")]
    [InlineData("a\u001B[2Kb", @"a\u{001B}[2Kb")]
    [InlineData("a\nb\rc\td\0", @"a\nb\rc\td\u{0000}")]
    [InlineData("a\u202Egpj.exe", @"a\u{202E}gpj.exe")]
    [InlineData("a\u200B\u2066\uFEFF\u00AD", @"a\u{200B}\u{2066}\u{FEFF}\u{00AD}")]
    [InlineData("a\u0085\u2028\u00A0\u3164", @"a\u{0085}\u{2028}\u{00A0}\u{3164}")]
    [InlineData("b\U000E0041\U0001F600", "b\\u{E0041}\U0001F600")]
    [InlineData(null, "")]
    public void What_hides_is_shown(string? text, string expected) => Assert.Equal(expected, PlainText.Of(text));

    [Fact]
    public void Five_megabytes_are_shown_from_both_ends()
    {
        string shown = PlainText.Of($"begin{new string('x', 5_000_000)}end");
        Assert.Equal(PlainText.NameLength, shown.Length);
        Assert.StartsWith("beginxx", shown, StringComparison.Ordinal);
        Assert.Contains("x…x", shown, StringComparison.Ordinal);
        Assert.EndsWith("xxend", shown, StringComparison.Ordinal);
    }

    // Not beside the others: an attribute holds UTF-8, which has no half of a pair.
    [Fact]
    public void Half_a_pair_is_shown_as_its_code() => Assert.Equal(@"a\u{D800}b", PlainText.Of("a\uD800b"));

    [Fact]
    public void A_pair_is_not_cut() =>
        Assert.Equal("\U0001F600…\U0001F600", PlainText.Of("\U0001F600\U0001F600\U0001F600\U0001F600\U0001F600", 7));

    [Fact]
    public void A_message_keeps_its_lines() => Assert.Equal("a\nb\r\n\\rc\\u{001B}", PlainText.OfMessage("a\nb\r\n\rc\u001B"));

    [Theory]
    [InlineData("benhc", "bench")]
    [InlineData("insect", "inspect")]
    [InlineData("marlin", "Mxfp4.Marlin")]
    [InlineData("new", "new")]
    [InlineData("row", null)]
    [InlineData("quantum", null)]
    public void The_nearest_name_is_found(string wrong, string? expected) =>
        Assert.Equal(expected, DidYouMean.Nearest(wrong, ["run", "bench", "inspect", "new", "Mxfp4.Marlin"]));
}
