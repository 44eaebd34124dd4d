namespace Moe.Plugins.GptOss.Tests;

/// <summary>What a model writes, read token by token.</summary>
public sealed class HarmonyParserTests
{
    private static readonly GptOssTokenizer Tokenizer = Tokenizers.Published;

    [Fact]
    public void Thinking_then_an_answer()
    {
        // openai/harmony, docs/format.md.
        int[] tokens =
        [
            200005, 35644, 200008, 1844, 31064, 25, 392, 4827, 382, 220, 17, 659, 220, 17, 16842, 12295, 81645, 13, 51441, 6052, 13, 200007,
            200006, 173781, 200005, 17196, 200008, 17, 659, 220, 17, 314, 220, 19, 13, 200002,
        ];
        Assert.Equal(
            [("assistant", "analysis", null, "User asks: \"What is 2 + 2?\" Simple arithmetic. Provide answer."), ("assistant", "final", null, "2 + 2 = 4.")],
            Read(tokens));
    }

    [Theory]
    [InlineData(" to=functions.f", "commentary", true)]
    [InlineData("", "commentary to=functions.f ", true)]
    [InlineData("", "commentary to=functions.f", true)]
    [InlineData(" to=functions.f", "commentary json", false)]
    public void A_call_however_it_is_spelt(string author, string channel, bool isConstrained)
    {
        HarmonyTokens special = Tokenizer.Harmony;
        int[] tokens =
        [
            .. Tokenizer.Encode(author), special.Channel, .. Tokenizer.Encode(channel),
            .. isConstrained ? (int[])[special.Constrain, .. Tokenizer.Encode("json")] : [],
            special.Message, .. Tokenizer.Encode("{\"a\":1}"), special.Call,
        ];
        HarmonyMessage call = Messages(tokens).Single();
        Assert.Equal(("functions.f", "commentary", "json", "{\"a\":1}"), (call.Recipient, call.Channel, call.ContentType, call.Content));
        Assert.True(call.IsCall);
    }

    [Fact]
    public void A_text_that_is_cut_off()
    {
        HarmonyTokens special = Tokenizer.Harmony;
        int[] tokens = [special.Channel, .. Tokenizer.Encode("final"), special.Message, .. Tokenizer.Encode("It is")];
        Assert.Equal([("assistant", "final", null, "It is")], Read(tokens));
    }

    [Fact]
    public void What_has_no_header_is_shown()
    {
        HarmonyTokens special = Tokenizer.Harmony;
        Assert.Equal([("assistant", "final", null, "just text")], Read([.. Tokenizer.Encode("just text"), special.Return]));
        Assert.Equal(
            [("assistant", "––commentary", null, "x"), ("assistant", "final", null, "y")],
            Read([special.Channel, .. Tokenizer.Encode("––commentary"), special.Message, .. Tokenizer.Encode("x"), special.Start,
                .. Tokenizer.Encode("assistant"), special.Channel, .. Tokenizer.Encode("final"), special.Message, .. Tokenizer.Encode("y"), special.Return]));
    }

    [Fact]
    public void Nothing_is_no_message() => Assert.Empty(Read([Tokenizer.Harmony.Return]));

    [Fact]
    public void Deltas_make_up_the_content()
    {
        var parser = new HarmonyParser(Tokenizer);
        HarmonyTokens special = Tokenizer.Harmony;
        string text = "";
        foreach (int token in (int[])[special.Channel, 17196, special.Message, .. Tokenizer.Encode("a 💖 b"), special.Return])
        {
            HarmonyDelta delta = parser.Add(token);
            text += delta.Text;
            Assert.DoesNotContain('\uFFFD', delta.Text ?? "");
        }

        Assert.Equal("a 💖 b", text);
    }

    private static IEnumerable<(string, string?, string?, string)> Read(int[] tokens) =>
        Messages(tokens).Select(message => (message.Author, message.Channel, message.Recipient, message.Content));

    private static List<HarmonyMessage> Messages(int[] tokens)
    {
        var parser = new HarmonyParser(Tokenizer);
        var messages = new List<HarmonyMessage>();
        foreach (HarmonyDelta delta in tokens.Select(parser.Add).Append(default).ToArray())
        {
            messages.AddRange(delta.Ended is null ? [] : [delta.Ended]);
        }

        messages.AddRange(parser.End().Ended is { } rest ? [rest] : []);
        return messages;
    }
}
