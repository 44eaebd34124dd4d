using System.Text.Json;
using System.Text.Json.Nodes;

namespace Moe.Plugins.Cli;

/// <summary>
/// The sample's vocabulary: 256 bytes, the words that harmony's headers are made of, and its special tokens. Bytes that are not printable stand
/// for themselves by characters from U+0100 on (openai/gpt-2, <c>src/encoder.py</c>, <c>bytes_to_unicode</c>).
/// </summary>
internal static class SampleTokenizer
{
    /// <summary>Rows of the logits: tokens, rounded up; the rest is never chosen.</summary>
    public const int VocabularySize = 288;

    private const int ByteCount = 256;

    private static readonly string[] Words = ["assistant", "analysis", "final"];

    private static readonly string[] SpecialNames =
        ["<|start|>", "<|end|>", "<|message|>", "<|channel|>", "<|constrain|>", "<|return|>", "<|call|>", "<|endoftext|>"];

    private static readonly List<string> Tokens = MakeTokens();

    /// <summary>Each word is merged letter by letter from its beginning.</summary>
    private static IEnumerable<(string Left, string Right)> Merges => Words
        .SelectMany(word => Enumerable.Range(1, word.Length - 1).Select(end => (word[..end], word[end..(end + 1)])))
        .Distinct();

    /// <summary>The id of a token by its text: a character that is a byte, a word or a special token.</summary>
    public static int Id(string token) => Tokens.IndexOf(token);

    public static string ToJson()
    {
        int firstSpecial = Tokens.Count - SpecialNames.Length;
        var vocabulary = new JsonObject(Tokens.Take(firstSpecial).Select((token, id) => KeyValuePair.Create(token, (JsonNode?)id)));
        return new JsonObject
        {
            ["version"] = "1.0",
            ["added_tokens"] = new JsonArray(
                [.. SpecialNames.Select((name, i) => (JsonNode)new JsonObject { ["id"] = firstSpecial + i, ["content"] = name, ["special"] = true })]),
            ["normalizer"] = null,
            ["pre_tokenizer"] = new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = false, ["trim_offsets"] = true, ["use_regex"] = false },
            ["model"] = new JsonObject
            {
                ["type"] = "BPE",
                ["vocab"] = vocabulary,
                ["merges"] = new JsonArray([.. Merges.Select(merge => (JsonNode)$"{merge.Left} {merge.Right}")]),
            },
        }.ToJsonString(new JsonSerializerOptions { WriteIndented = true });
    }

    private static List<string> MakeTokens()
    {
        var tokens = new List<string>();
        int next = 0x100;
        for (int value = 0; value < ByteCount; value++)
        {
            bool isPrintable = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or >= 0xAE;
            tokens.Add(((char)(isPrintable ? value : next++)).ToString());
        }

        tokens.AddRange(Merges.Select(merge => merge.Left + merge.Right));
        tokens.AddRange(SpecialNames);
        return tokens;
    }
}
