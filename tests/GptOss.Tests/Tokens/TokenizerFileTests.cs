using System.Text.Json.Nodes;

namespace Moe.Plugins.GptOss.Tests;

/// <summary>A folder's own tokenizer.json.</summary>
public sealed class TokenizerFileTests : IDisposable
{
    private const int ByteCount = 256;

    private readonly string _folder = Directory.CreateTempSubdirectory("gpt-oss-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Merges_and_bytes()
    {
        GptOssTokenizer tokenizer = Open(Tokenizer("he", "hell", "ll"), 300);
        Assert.Equal("hello, Grüße 💖!", tokenizer.Decode(tokenizer.Encode("hello, Grüße 💖!")));
        Assert.Equal([257, Byte('o')], tokenizer.Encode("hello"));
    }

    [Fact]
    public void Text_never_becomes_a_special_token()
    {
        GptOssTokenizer tokenizer = Open(Tokenizer(), 300);
        IReadOnlyList<int> ids = tokenizer.Encode("<|end|>");
        Assert.Equal("<|end|>".Select(c => Byte(c)), ids);
        Assert.True(tokenizer.IsSpecial(tokenizer.Harmony.End, out string name));
        Assert.Equal("<|end|>", name);
    }

    [Fact]
    public void Text_is_split_by_the_pattern()
    {
        JsonObject file = Tokenizer("ab");
        file["pre_tokenizer"] = JsonNode.Parse(
            """{"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"a|b"},"behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]}""");
        Assert.Equal([Byte('a'), Byte('b')], Open(file, 300).Encode("ab"));
    }

    [Fact]
    public void What_cannot_be_used_is_named()
    {
        Assert.Contains("its highest id is 263, and the model's vocabulary ends at 262", Refused(Tokenizer(), 263), StringComparison.Ordinal);

        JsonObject other = Tokenizer();
        other["pre_tokenizer"] = JsonNode.Parse("""{"type":"Whitespace"}""");
        Assert.Contains("pre_tokenizer 'Whitespace'", Refused(other, 300), StringComparison.Ordinal);

        JsonObject lacking = Tokenizer();
        lacking["added_tokens"]!.AsArray().RemoveAt(0);
        Assert.Contains("no special token <|start|>", Refused(lacking, 300), StringComparison.Ordinal);

        File.WriteAllText(Path.Combine(_folder, "tokenizer.json"), "{}");
        Assert.Contains("tokenizer.json", Assert.Throws<MoeException>(() => GptOssTokenizer.Open(_folder, 300)).Message, StringComparison.Ordinal);
    }

    private static int Byte(char c) => c;

    /// <summary>Ids 0 to 255 are bytes; then come what is merged and harmony's tokens.</summary>
    private static JsonObject Tokenizer(params string[] merged)
    {
        var vocabulary = new JsonObject();
        int next = 0x100;
        for (int value = 0; value < ByteCount; value++)
        {
            bool isPrintable = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or >= 0xAE;
            vocabulary.Add(((char)(isPrintable ? value : next++)).ToString(), value);
        }

        foreach (string token in merged)
        {
            vocabulary.Add(token, vocabulary.Count);
        }

        string[] merges = merged.Length > 1 ? ["h e", "l l", "he ll"] : [.. merged.Select(token => $"{token[0]} {token[1]}")];
        string[] names = ["start", "end", "message", "channel", "constrain", "return", "call", "endoftext"];
        return new JsonObject
        {
            ["added_tokens"] = new JsonArray([.. names.Select((name, i) => (JsonNode)new JsonObject { ["id"] = ByteCount + merged.Length + i, ["content"] = $"<|{name}|>", ["special"] = true })]),
            ["normalizer"] = null,
            ["pre_tokenizer"] = JsonNode.Parse("""{"type":"ByteLevel","add_prefix_space":false,"trim_offsets":true,"use_regex":false}"""),
            ["model"] = new JsonObject { ["type"] = "BPE", ["vocab"] = vocabulary, ["merges"] = new JsonArray([.. merges.Select(merge => (JsonNode)merge)]) },
        };
    }

    private GptOssTokenizer Open(JsonObject file, int vocabularySize)
    {
        File.WriteAllText(Path.Combine(_folder, "tokenizer.json"), file.ToJsonString());
        return GptOssTokenizer.Open(_folder, vocabularySize);
    }

    private string Refused(JsonObject file, int vocabularySize) => Assert.Throws<MoeException>(() => Open(file, vocabularySize)).Message;
}
